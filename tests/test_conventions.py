"""What ruff and mypy do not ask of the code."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("analysis", "bench") for path in (PROJECT / package).rglob("*.py"))
TEXTS = {path: path.read_text(encoding="utf-8") for path in FILES}
SILENCED = re.compile(r"#\s*(noqa|type:\s*ignore)")
WITH_REASON = re.compile(r"# (noqa: [A-Z]+\d+(, [A-Z]+\d+)*|type: ignore\[[a-z-]+\])(  # \w| \(\w)")
MODULES = {
    "pytorch-lightning": {"pytorch_lightning", "lightning_fabric"}, "hydra-core": {"hydra"}, "pillow": {"PIL"},
    "opencv-python-headless": {"cv2"}, "nvidia-ml-py": {"pynvml"}, "pyyaml": {"yaml"},
    "hydra-submitit-launcher": {"submitit"}, "hydra-ray-launcher": {"ray"},
}  # fmt: skip
"""Of packages whose modules have other names, or that exist to bring another package."""


def test_a_check_is_silenced_for_a_reason():
    lines = [(path.name, line.strip()) for path, text in TEXTS.items() for line in text.splitlines()]
    assert [found for found in lines if SILENCED.search(found[1]) and not WITH_REASON.search(found[1])] == []


def modules(listed):
    """The modules of packages as pyproject.toml lists them."""
    names = [re.match(r"[\w-]+", text)[0].lower() for text in listed]
    return set().union(*(MODULES.get(name, {name}) for name in names))


def imported(*packages):
    """The modules of others that some of our packages import anywhere."""
    nodes = [
        node
        for path, text in TEXTS.items()
        if path.relative_to(PROJECT).parts[0] in packages
        for node in ast.walk(ast.parse(text))
    ]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"analysis", "bench"}


def test_what_is_imported_is_declared_and_no_more():
    """Optional packages are imported under their own names too, where they are known to be there."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["project"]
    extras = modules(text for name, some in listed["optional-dependencies"].items() if name != "dev" for text in some)
    needed, used = modules(listed["dependencies"]), imported("analysis", "bench")
    assert (needed - used, used - needed - extras) == (set(), set())
    assert modules(project["dependency-groups"]["analysis"]) == imported("analysis") | {"pyarrow"}  # pandas' reader


SKIPPED = """
import pytest
def test_fixture(): pytest.skip("no Slurm (apt-get install slurm-wlm)")
@pytest.mark.skipif(True, reason="R has no pROC (Debian: r-cran-proc)")
def test_mark(): pass
def test_kernel(): pytest.skip("no user namespaces here")
"""


@pytest.mark.parametrize(("required", "failed"), [("1", 3), ("", 0)])
def test_what_is_skipped_for_want_of_a_program_fails_where_all_is_required(tmp_path, required, failed):
    (tmp_path / "test_some.py").write_text(SKIPPED)
    (tmp_path / "test_module.py").write_text('import pytest\npytest.importorskip("nothing", reason="not installed")\n')
    words = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--continue-on-collection-errors", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=PROJECT, env=os.environ | {"REQUIRE_ALL": required}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (failed|error|skipped)", done.stdout[-200:])}
    assert counts.get("failed", 0) + counts.get("error", 0) == failed, done.stdout
    assert counts["skipped"] == 4 - failed
