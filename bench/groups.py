"""What Hydra is to find: the schemas, the options of each group, the sweeps, and a user's own of `--config-dir`."""

from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from analysis.settings import forget_empty
from bench.errors import ConfigError
from bench.networks.registry import ARCHITECTURES
from bench.paths import CONF, SWEEPS
from bench.schema import SCHEMAS, SearchConfig


def register() -> None:
    """Makes the schemas known to Hydra; may be called more than once."""
    forget_empty()  # before anything is composed
    for name, node in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=node)
    ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=SearchConfig, provider="bench")
    for name in ARCHITECTURES:
        ConfigStore.instance().store(group="arch", name=name, node={"name": name}, provider="bench")
    for path, node in _sweeps().items():
        ConfigStore.instance().store(group="sweeps", name=path.stem, node=node, package="_global_")


@cache
def _sweeps() -> dict[Path, Any]:
    """The files of sweeps/, which lies beside conf/ and not in it: so Hydra is given them."""
    try:
        return {path: OmegaConf.load(path) for path in sorted(SWEEPS.glob("*.yaml"))}
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"{SWEEPS}: a sweep that is no YAML: {error}") from None


_own: list[Path] = []
"""Of this process's command line: the folder that `--config-dir` names, laid out as conf/ is."""


def look_in(folder: str | None) -> None:
    """Looks for options of groups in a user's own folder too; None is none.

    Raises:
        ConfigError: it is no folder.
    """
    _own.clear()
    if folder is None:
        return
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise ConfigError(f"--config-dir {folder}: no such folder")
    _own.append(path)


def searched() -> list[str]:
    """What Hydra is told of that folder: an override."""
    return [f"hydra.searchpath=['file://{path}']" for path in _own]


def groups(primary: str) -> dict[str, tuple[str, ...]]:
    """The config groups that a primary configuration chooses from, each with its options: `{"arch": (...)}`."""
    return _groups(primary, tuple(_own))


@cache
def _groups(primary: str, own: tuple[Path, ...]) -> dict[str, tuple[str, ...]]:
    defaults = OmegaConf.to_container(OmegaConf.load(CONF / f"{primary}.yaml")).get("defaults", [])  # type: ignore[union-attr]  # a mapping, not a list: our own file
    names = [key for entry in defaults if isinstance(entry, dict) for key in entry if not key.startswith("override ")]
    places = {name: [CONF / name, *(path / name for path in own)] for name in names}
    places["sweeps"] = [SWEEPS, *(path / "sweeps" for path in own)]
    files = {name: {path.stem for at in folders for path in at.glob("[!_]*.yaml")} for name, folders in places.items()}
    if "arch" in files:
        files["arch"] |= ARCHITECTURES.keys()
    return {name: tuple(sorted(options)) for name, options in files.items()}
