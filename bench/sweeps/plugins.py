"""The plugins of Hydra's that start jobs or choose them: known early, and named where one is missing."""

import importlib.util
from collections.abc import Sequence

from bench.errors import ConfigError, MissingExtraError

PLUGINS = {
    "hydra/launcher": {
        "basic": None,
        "joblib": "joblib",
        "submitit_local": "slurm",
        "submitit_slurm": "slurm",
        "ray": "ray",
    },
    "hydra/sweeper": {"basic": None, "optuna": "optuna"},
}
"""By config group and option: the extra in pyproject.toml that brings it, None for Hydra's own."""

PACKAGES = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "slurm": "hydra_plugins.hydra_submitit_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
    "optuna": "optuna",  # the sweeper is ours
}
"""By extra: the package that must be there."""


def check_plugins(overrides: Sequence[str]) -> None:
    """Returns where every launcher and sweeper that the overrides choose is there.

    Raises:
        ConfigError: none of this name is known here.
        MissingExtraError: it is not installed.
    """
    for group, _, option in (text.partition("=") for text in overrides):
        known = PLUGINS.get(group)
        if known is None:
            continue
        if option not in known:
            raise ConfigError(f"{group}={option}: no such {group}; Valid: {', '.join(known)}")
        name = known[option]
        if name is not None and not _installed(PACKAGES[name]):
            missing = PACKAGES[name].rpartition(".")[2]
            raise MissingExtraError(
                f"{group}={option}: {missing} is not installed: pip install -e '.[{name}]' in the project folder"
            )


def _installed(package: str) -> bool:
    """Whether a package is there; asked of the namespace first, which is not there where no plugin is."""
    namespace = package.partition(".")[0]
    return importlib.util.find_spec(namespace) is not None and importlib.util.find_spec(package) is not None
