"""docs/reference.md is what its script writes, and leaves out no key and no function."""

import importlib
import inspect
import pkgutil

import pytest
import yaml

from analysis import statistics
from analysis.settings import Settings, read_settings
from bench.config import compose_config
from bench.schema import SCHEMAS, leaves
from docs import reference

WRITTEN = reference.PAGE.read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in WRITTEN.splitlines() if line.startswith("| `")]


def part(title):
    """The rows of one section: key, default."""
    text = WRITTEN.partition(f"### {title}\n")[2].partition("\n##")[0]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("| `"): row[1].strip(" `") for row in rows}


def selected(settings, key):
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def test_the_page_is_not_stale():
    assert reference.reference() == WRITTEN, "docs/reference.md is stale: run `make reference`"


@pytest.mark.parametrize("command", SCHEMAS)
def test_every_key_of_the_schema_is_there(command):
    named = {row[0].strip("| `").removesuffix(".*") for row in ROWS} | {"protocol.name", "trainer.name", "data.name"}
    left_out = {key for key, _ in leaves(SCHEMAS[command])} - named - {"source.name", "published.name"}
    assert left_out == set()


def test_the_defaults_are_those_of_the_composed_configuration():
    composed = compose_config([])
    for key, written in part("conf/config.yaml").items():
        if written:
            assert yaml.safe_load(written) == selected(composed, key), key


def test_the_defaults_of_the_report_are_those_it_reads():
    settings = read_settings([])
    shown = {key: yaml.safe_load(text) for key, text in part("conf/report.yaml").items() if text}
    assert shown == {key: selected(settings, key) for key in shown}
    assert {key.split(".")[0] for key in shown} == set(Settings.__dataclass_fields__)


def test_a_comment_above_beside_and_below_a_key_is_its_own(tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text(
        "# the file\n\nfirst: 1 # beside\n# above\nsecond: [1, 2] # px\n  # below\nwhole: # about it\n"
        "  # third's\n  third: a#b\n  fourth: null\n"
    )
    assert reference.rows(path) == [
        ("first", "1", "beside"),
        ("second", "[1, 2]", "px below. above"),
        ("whole.*", "", "about it"),
        ("whole.third", "a#b", "third's"),
        ("whole.fourth", "null", ""),
    ]


def test_every_public_function_on_arrays_is_there_with_its_docstring():
    for found in pkgutil.iter_modules(statistics.__path__, f"{statistics.__name__}."):
        module = importlib.import_module(found.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == found.name and not name.startswith("_"):
                assert f"```text\n{name}(" in WRITTEN
                assert f"\n\n{inspect.getdoc(function)}\n```" in WRITTEN
