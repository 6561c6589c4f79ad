"""What a message tells its reader to type."""

import re
import shlex

KEY = re.compile(
    r"""(?<![\w./:={'-])(?:'([a-z][a-z_.]*=[^']*)'|([a-z][a-z_]*(?:\.[a-z_]+)*=(?:\[[^]]*\]|\.\.\.|[^\s,;()`'"]+)))"""
)
COMMAND = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:python -m|mlflow) [^`]+)`")


def keys(message: str) -> list[str]:
    """Each `key=value` of a message, as a shell hands it on; a sentence's full stop is none of it."""
    return [quoted or (bare if bare.endswith("...") else bare.rstrip(".:")) for quoted, bare in KEY.findall(message)]


def command(message: str) -> list[str]:
    """The words of the one command that a message names, those of `VARIABLE=value` before it among them."""
    (text,) = COMMAND.findall(message)
    return shlex.split(text)
