"""Packages that only some commands need: imported when they are, missed in one sentence."""

import importlib
from typing import Any

from bench.errors import MissingExtraError


def extra(module: str, name: str) -> Any:
    """An optional package's module.

    Args:
        name: of the extra in pyproject.toml that installs it.

    Raises:
        MissingExtraError: it is not installed.
        ModuleNotFoundError: it is installed, and a package that it needs is not.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # it is there, and something that it needs is not
            raise
        raise MissingExtraError(
            f"{error.name} is not installed: pip install -e '.[{name}]' in the project folder"
        ) from None
