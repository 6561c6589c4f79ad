"""What ruff and mypy do not ask of the code."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("analysis", "bench") for path in (PROJECT / package).rglob("*.py"))
SILENCED = re.compile(r"#\s*(noqa|type:\s*ignore)")
WITH_REASON = re.compile(r"# (noqa: [A-Z]+\d+(, [A-Z]+\d+)*|type: ignore\[[a-z-]+\])(  # \w| \(\w)")


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):\n((?: .*\n|\n)*)", re.MULTILINE)
EXAMPLE = re.compile(r"^>>>.*(\n.+)*", re.MULTILINE)
FEW = 2
"""Arguments that a function's own name and types may be enough for."""
BASES = {
    node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
    for tree in TREES.values()
    for node in tree.body
    if isinstance(node, ast.ClassDef)
}


def classes(tree):
    return [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]


def public(tree):
    """Functions and methods that a reader may call: their names, and those of what holds them, have no underscore."""
    for scope in [tree, *classes(tree)]:
        yield from (node for node in scope.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_")


def documented(tree):
    """(function, its docstring); what makes an object is documented in its class. Other dunders are left out."""
    yield from ((function, ast.get_docstring(function) or "") for function in public(tree))
    for scope in classes(tree):
        made = [node for node in scope.body if getattr(node, "name", "") in ("__init__", "__post_init__")]
        yield from ((function, ast.get_docstring(scope) or "") for function in made)


def arguments(function):
    """Their names; of what starts with an underscore, a library hands it over and nothing is done with it."""
    listed = function.args
    found = [*listed.posonlyargs, *listed.args, listed.vararg, *listed.kwonlyargs, listed.kwarg]
    names = [argument.arg for argument in found if argument is not None]
    return [name for name in names if name not in ("self", "cls") and name[0] != "_"]


def keys(docstring, *titles):
    """The names that the entries of some sections begin with."""
    entries = [text for title, text in SECTION.findall(docstring + "\n") if title in titles]
    heads = [line.partition(":")[0] for text in entries for line in text.splitlines() if re.match(r" {4}\S", line)]
    return {word for head in heads for word in re.findall(r"\w+", head)}


def undescribed(function, docstring):
    """Arguments that neither an entry nor a sentence names, in whole words: `cache` is not named by `data.cache`."""
    prose = EXAMPLE.sub("", SECTION.sub("", docstring + "\n"))
    entries = keys(docstring, "Args", "Attributes") if function.name == "__init__" else keys(docstring, "Args")
    left = [name for name in arguments(function) if name not in entries]
    return [name for name in left if not re.search(rf"(?<![\w.-]){name}(?![\w-]|\.\w)", prose)]


def is_a(name):
    """A class of ours and all above it; a library's stands for itself."""
    return {name, "Exception", "BaseException"}.union(*(is_a(base) for base in BASES.get(name, ())))


def caught(attempt):
    """Names of the errors that a `try` handles."""
    if any(handler.type is None for handler in attempt.handlers):
        return {"BaseException"}
    nodes = [node for handler in attempt.handlers for node in ast.walk(handler.type)]
    return {getattr(node, "attr", getattr(node, "id", "")) for node in nodes}


def raised(nodes, handled=frozenset()):
    """Classes of the errors that some statements raise by name and do not handle themselves."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Raise):
            made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = getattr(made, "attr", getattr(made, "id", ""))
            if name[:1].isupper() and name != "NotImplementedError" and not is_a(name) & handled:
                yield name
        elif isinstance(node, ast.Try):
            yield from raised(node.body, handled | caught(node))
            yield from raised([*node.handlers, *node.orelse, *node.finalbody], handled)
        else:
            yield from raised(ast.iter_child_nodes(node), handled)


def unannounced(function, docstring):
    return sorted(set(raised(function.body)) - keys(docstring, "Raises"))


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PROJECT).as_posix())


@each_file
def test_where_arguments_are_described_none_is_left_out(path):
    for function in public(TREES[path]):
        described = keys(ast.get_docstring(function) or "", "Args")
        if described:
            left_out = [name for name in arguments(function) if name not in described]
            assert left_out == [], f"{path}:{function.lineno} {function.name}"


@each_file
def test_more_than_a_few_arguments_are_described(path):
    """Lightning says what the arguments of its callbacks are."""
    own = [(function, text) for function, text in documented(TREES[path]) if not function.name.startswith("on_")]
    many = [(function, text) for function, text in own if len(arguments(function)) > FEW]
    found = {f"{function.name}, line {function.lineno}": undescribed(function, text) for function, text in many}
    assert {where: names for where, names in found.items() if names} == {}


@each_file
def test_errors_that_a_function_raises_are_in_its_docstring(path):
    both = list(documented(TREES[path]))
    found = {f"{function.name}, line {function.lineno}": unannounced(function, text) for function, text in both}
    assert {where: names for where, names in found.items() if names} == {}


SAMPLE = '''
class Box:
    """A box of `width`, as in `data.height` and depth-first.

    Raises:
        DataError: it is none.
    """
    def __init__(self, width, height, depth, _unused=0):
        if depth: raise DataError("none")
        raise errors.StorageError("none")

def both(first, second, third):
    """Something of the first.

    Args:
        first, second: the first and the third.

    >>> third
    """
    def inner():
        raise TypeError("not its own")
    try:
        raise ConfigError("handled")
    except BenchError as error:
        raise
    raise NotImplementedError
'''


def test_the_checks_find_what_is_missing():
    (both, of_both), (made, of_made) = documented(ast.parse(SAMPLE))
    assert (undescribed(both, of_both), unannounced(both, of_both)) == (["third"], [])
    assert (undescribed(made, of_made), unannounced(made, of_made)) == (["height", "depth"], ["StorageError"])


def test_a_check_is_silenced_for_a_reason():
    lines = [(path.name, line.strip()) for path in FILES for line in path.read_text(encoding="utf-8").splitlines()]
    assert [found for found in lines if SILENCED.search(found[1]) and not WITH_REASON.search(found[1])] == []


def test_the_packages_are_looked_through():
    functions = sum(len(list(public(tree))) for tree in TREES.values())
    assert functions > 500


MODULES = {
    "pytorch-lightning": "pytorch_lightning", "hydra-core": "hydra", "opencv-python-headless": "cv2", "pillow": "PIL",
    "nvidia-ml-py": "pynvml",
}  # fmt: skip
"""Packages whose module has another name."""


def test_the_plain_package_asks_for_what_is_imported_and_no_more():
    """Other packages are imported through `bench.extras`, or where they are installed anyway."""
    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = [re.match(r"[\w-]+", text)[0] for text in listed]
    imported = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert {MODULES.get(name, name) for name in names} <= imported
