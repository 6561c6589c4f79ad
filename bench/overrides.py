"""The texts `key=value`: as they are typed, as Hydra's grammar wants them, and what they stand for."""

import re
import shlex

from hydra.core.override_parser.types import Override, Quote, QuotedString

SHORT = {"weights": "weights.source", "data.uncertain": "data.uncertain.default"}
"""Keys that may be typed for the one entry of theirs that is meant most."""
ENTRIES = "data.uncertain."
"""A mapping whose keys the schema does not know: Hydra asks for a mark where one is added."""


def spell(override: str) -> str:
    """An override in the form that Hydra's grammar wants: `weights=run:1a` is `weights.source='run:1a'`."""
    key, found, value = override.partition("=")
    if found and key in SHORT and not value.startswith("{"):
        return f"{SHORT[key]}={value}"
    return f"++{override}" if key.startswith(ENTRIES) and key != SHORT["data.uncertain"] else override


def values(override: Override) -> list[str]:
    """The values that an override stands for, as text: two for `seed=0,1`, one for `seed=0`."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [str(override.get_value_element_as_str())]


def typed(key: str, value: object) -> str:
    """`key=value` as it is typed into a shell for a command of `bench`: quoted for Hydra and the shell if need be."""
    text = str(value)
    plain = re.fullmatch(r"[\w./:@%+-]+", text, re.ASCII) and not _is_no_text(text)
    return f"{key}={text}" if plain else shlex.quote(f"{key}={QuotedString(text, Quote.double).with_quotes()}")


def _is_no_text(text: str) -> bool:
    """Whether Hydra would take it for a number, a truth value or nothing."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("null", "true", "false")
    return True
