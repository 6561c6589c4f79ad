"""What ruff and mypy do not ask of the code."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("analysis", "bench") for path in (PROJECT / package).rglob("*.py"))
SILENCED = re.compile(r"#\s*(noqa|type:\s*ignore)")
WITH_REASON = re.compile(r"# (noqa: [A-Z]+\d+(, [A-Z]+\d+)*|type: ignore\[[a-z-]+\])(  # \w| \(\w)")


def public(tree):
    """Functions and methods that a reader may call: their names, and those of what holds them, have no underscore."""
    for scope in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")]:
        yield from (node for node in scope.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_")


def arguments(function):
    listed = function.args
    names = [argument.arg for argument in [*listed.posonlyargs, *listed.args, *listed.kwonlyargs]]
    return [name for name in names if name not in ("self", "cls")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_where_arguments_are_described_none_is_left_out(path):
    for function in public(ast.parse(path.read_text(encoding="utf-8"))):
        described = (ast.get_docstring(function) or "").partition("Args:")[2]
        if described:
            left_out = [name for name in arguments(function) if not re.search(rf"\b{name}\b", described)]
            assert left_out == [], f"{path}:{function.lineno} {function.name}"


def test_a_check_is_silenced_for_a_reason():
    lines = [(path.name, line.strip()) for path in FILES for line in path.read_text(encoding="utf-8").splitlines()]
    assert [found for found in lines if SILENCED.search(found[1]) and not WITH_REASON.search(found[1])] == []


def test_the_packages_are_looked_through():
    functions = sum(len(list(public(ast.parse(path.read_text(encoding="utf-8"))))) for path in FILES)
    assert functions > 500
