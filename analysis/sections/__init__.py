"""The report section by section: each file here declares one, with its tables, its figures and its words.

A section is a module with PLACE (a number: sections stand in this order), `section(results)`, which gives what a reader
sees, and, where it has numbers of its own, `tables(results)`, the raw frames by name.
"""

import pkgutil
from importlib import import_module
from types import ModuleType

from analysis.results import Results, read_runs
from analysis.sections.parts import Section
from analysis.settings import Settings


def modules() -> list[ModuleType]:
    """The modules of the sections, in the order of the report."""
    found = [import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    return sorted((module for module in found if hasattr(module, "PLACE")), key=lambda module: module.PLACE)


def evaluate(settings: Settings) -> Results:
    """Read the runs and compute every table of every section.

    Raises:
        AnalysisError: the runs do not allow a report; the message says why and what to do.
    """
    results = read_runs(settings)
    for module in modules():
        if hasattr(module, "tables"):
            results.tables.update(module.tables(results))
    return results


def sections(results: Results) -> list[Section]:
    """Every section of the report, in order; a file is written for each table, also for an empty one."""
    return [module.section(results) for module in modules()]
