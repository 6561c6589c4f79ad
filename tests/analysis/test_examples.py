"""The examples in the docstrings of the arithmetic run, and every public function has one."""

import doctest
import importlib
import inspect

import pytest

MODULES = tuple(f"statistics.{name}" for name in ("auroc", "bootstrap", "delong", "intervals", "multiplicity"))


@pytest.mark.parametrize("name", [*MODULES, "units", "questions.interval_methods"])
def test_examples_give_what_they_print(name):
    outcome = doctest.testmod(importlib.import_module(f"analysis.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example(name):
    module = importlib.import_module(f"analysis.{name}")
    for word, function in inspect.getmembers(module, inspect.isfunction):
        if not word.startswith("_") and function.__module__ == module.__name__:
            assert ">>> " in (function.__doc__ or ""), f"{name}.{word} has no example"
