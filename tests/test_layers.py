"""The shape of the code, read from its syntax: who may import whom, and how long a piece may be."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
TRAINING = {
    "bench",
    "torch",
    "torchvision",
    "torchmetrics",
    "timm",
    "lightning",
    "lightning_fabric",
    "pytorch_lightning",
}
DOORS = {"analysis.store.io", "bench.tracking.server", "bench.tracking.answers", "bench.tracking.showcase"}
"""To MLflow's store; the showcase speaks through the server's own client, and the answers are the server's errors."""
MODEL = {"bench.finished.packaged", "bench.finished.served"}
"""MLflow's model format, written on this machine; and the code that it runs when it serves one."""
LATE = {
    (
        "bench.networks.registry",
        "bench.networks.beyond",
    ): "a row of the table needs no torch; only a name beyond it asks timm",
}
"""Imports inside functions that would close a circle at the top of the file, with their reason."""
LINES, FUNCTION_LINES = 300, 50
LONG = {"bench.schema": "every key that can be typed, with its type and range, in one list"}
"""What is longer, with its reason; functions as `module.function`."""


TEXTS = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path.read_text(
        encoding="utf-8"
    )
    for package in ("analysis", "bench")
    for path in sorted((PROJECT / package).rglob("*.py"))
}
MODULES = {name: ast.parse(text) for name, text in TEXTS.items()}
CORE = {name for name in MODULES if name.startswith("analysis.statistics.")}


def imported(tree: ast.AST) -> Iterator[str]:
    """Every name that is imported anywhere in the file: `a.b` of `import a.b`, `a.b.c` of `from a.b import c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(tree: ast.AST) -> set[str]:
    """The modules of this project among what is imported."""
    names = set(imported(tree))
    return {module for name in names for module in (name, name.rpartition(".")[0]) if module in MODULES}


def roots(name: str) -> set[str]:
    return {found.partition(".")[0] for found in imported(MODULES[name])}


def functions(name: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(`module.function`, lines of code): the docstring does not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0]
            yield f"{name}.{node.name}", (node.end_lineno or 0) - first.lineno + 1


def test_analysis_imports_neither_bench_nor_torch():
    wrong = {name: roots(name) & TRAINING for name in MODULES if name.startswith("analysis")}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_analysis_can_be_imported_where_they_are_not_installed():
    names = [name for name in MODULES if name.startswith("analysis")]
    code = f"""
import importlib, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(TRAINING)}:
            raise ModuleNotFoundError(f"no module named {{name}}", name=name)
sys.meta_path.insert(0, Missing())
for name in {names}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_arithmetic_core_needs_numpy_and_scipy_alone(name):
    assert roots(name) - sys.stdlib_module_names <= {"numpy", "scipy", "analysis"}
    assert ours(MODULES[name]) <= CORE


def test_mlflow_has_one_door_on_each_side():
    assert {name for name in MODULES if "mlflow" in roots(name)} == DOORS | MODEL
    assert {name for name, text in TEXTS.items() if "MlflowClient(" in text} == {
        "analysis.store.io",
        "bench.tracking.server",
    }


def test_no_import_goes_in_a_circle():
    graph = {name: {other for other in ours(tree) if (name, other) not in LATE} for name, tree in MODULES.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)  # CycleError names the circle


@pytest.mark.parametrize(("name", "other"), LATE)
def test_what_closes_a_circle_is_imported_late_and_still_needed(name, other):
    assert other in ours(MODULES[name])
    assert not any(other in ours(node) for node in MODULES[name].body if isinstance(node, ast.Import | ast.ImportFrom))


def test_nothing_is_too_long_without_a_reason():
    long = {name for name, text in TEXTS.items() if len(text.splitlines()) > LINES}
    long |= {what for name, tree in MODULES.items() for what, lines in functions(name, tree) if lines > FUNCTION_LINES}
    assert long == set(LONG)


LAYERS = [
    {
        *(
            "analysis.axes",
            "analysis.errors",
            "analysis.interrupted",
            "analysis.places",
            "analysis.printing",
            "analysis.ranges",
        ),
        "analysis.reference",
    },
    {"analysis.settings", "analysis.statistics", "analysis.views"},
    {"analysis.units"},
    {"analysis.evaluation"},
    {"analysis.tables"},
    {"analysis.store", "analysis.questions"},
    {"analysis.results", "analysis.figures"},
    {"analysis.sections"},
    {"analysis.page"},
    {"analysis.report", "analysis.paper", "analysis.export"},
    {
        *("bench.errors", "bench.overrides", "bench.paths", "bench.extras", "bench.quiet", "bench.waiting"),
        *("bench.schema", "bench.schedule"),
    },
    {"bench.networks"},
    {"bench.groups"},
    {"bench.config"},
    {"bench.data", "bench.tracking"},
    {"bench.training"},
    {"bench.cells", "bench.finished"},
    {"bench.sweeps"},
]
"""Each line imports only from those before it and its own; the commands at the top of `bench` from all."""
NAMES = ("bench.schema", "bench.data.tasks")
"""The one exception: the names of the tasks are values that a key may take."""


def layer(name: str) -> int:
    found = [number for number, packages in enumerate(LAYERS) if ".".join(name.split(".")[:2]) in packages]
    return found[0] if found else len(LAYERS)


def test_packages_import_downwards_alone():
    edges = {(name, other) for name, tree in MODULES.items() for other in ours(tree) if "." in other} - {NAMES}
    assert [(name, other) for name, other in sorted(edges) if layer(other) > layer(name)] == []
