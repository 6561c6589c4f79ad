"""What messages tell a user to type: every key is one, and every command is there."""

import ast
import importlib.util
import re

from omegaconf import OmegaConf

from bench import config, overrides
from bench.paths import CONF, PROJECT
from bench.schema import SCHEMAS, leaves

KEY = re.compile(r"(?<![\w./:={-])([a-z][a-z_]*(?:\.[a-z_]+)*)=(?=[\w<\[{'\"*])")
COMMAND = re.compile(r"python -m ((?:bench|analysis)\.\w+)")
NO_KEYS = {"step", "rank", "lr", "key", "force", "enforce_file_format"}
"""Words before an equals sign that are none of ours: of file names, of `key=value` itself, and pydicom's."""


def messages():
    """(file, text) of every text of `bench` that is no docstring; `*` for what is filled in."""
    for path in sorted((PROJECT / "bench").rglob("*.py")):
        tree = ast.parse(path.read_text())
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield path.name, "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
                yield path.name, node.value


def known():
    found = {key for schema in SCHEMAS.values() for key, _ in leaves(schema)}
    found |= {group for name in SCHEMAS for group in config.groups(name)} | set(overrides.SHORT)
    return found | set(_flat(OmegaConf.to_container(OmegaConf.load(CONF / "report.yaml"))))


def _flat(nested, prefix=""):
    for key, value in nested.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")


def test_every_key_that_a_message_names_is_one():
    keys, entries = known() | NO_KEYS, ("data.uncertain.", "data.roots.", "hydra.")
    named = [(path, key, text) for path, text in messages() for key in KEY.findall(text)]
    assert len(named) > 100
    assert [found for found in named if found[1] not in keys and not found[1].startswith(entries)] == []


def test_every_command_that_a_message_names_is_there():
    named = {command for _, text in messages() for command in COMMAND.findall(text)}
    assert len(named) > 3
    assert [command for command in named if importlib.util.find_spec(command) is None] == []
