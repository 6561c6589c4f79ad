"""Where a report comes from."""

import platform
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.places import CHECKOUT
from analysis.settings import Settings
from analysis.store.uris import mask, resolve_uri

PACKAGES = ("chextransfer-bench", "mlflow", "numpy", "scipy", "pandas", "pyarrow", "matplotlib", "jinja2", "omegaconf")


def provenance(
    settings: Settings, words: Sequence[str], cells: pd.DataFrame, *, unit: str, cautions: Sequence[str] = ()
) -> dict[str, Any]:
    """What provenance.json holds; no password and no environment variable is in it.

    Args:
        words: what was typed after the command.
    """
    return {
        "tracking_uri": mask(resolve_uri(settings.tracking.uri)),
        "experiment": settings.experiment,
        "results": settings.results,
        **origin(mask(shlex.join(["python", "-m", "analysis.report", *words]))),
        "settings": {
            "resamples": settings.resamples,
            "level": settings.level,
            "unit": unit,
            "unit_asked": settings.unit,
            "interval": settings.interval,
            "tasks": settings.tasks,
            "seed": settings.seed,
            "filters": settings.filters(),
        },
        "cautions": list(cautions),
        "runs": [
            {"run_id": run["run_id"], "name": run["name"], "cell": run["cell"], "git": run["git"]}
            for run in cells.to_dict("records")
        ],
    }


def origin(command: str) -> dict[str, Any]:
    """`command`, `git` (the commit), `versions` and `created` (UTC) of what is written now."""
    return {
        "command": command,
        "git": commit(CHECKOUT) if CHECKOUT else "unknown",
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit(folder: Path) -> str:
    """The commit checked out in a folder, read from .git; `unknown` outside a checkout or before its first commit."""
    try:
        git = folder / ".git"
        if git.is_file():  # a worktree
            git = folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        shared = git / "commondir"
        common = git / shared.read_text(encoding="utf-8").strip() if shared.is_file() else git
        for place in (git / name, common / name):
            if place.is_file():
                return place.read_text(encoding="utf-8").strip()
        packed = (common / "packed-refs").read_text(encoding="utf-8")
        found = re.search(rf"^([0-9a-f]{{40,}}) {re.escape(name)}$", packed, flags=re.MULTILINE)
        return found[1] if found else "unknown"
    except OSError:
        return "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
