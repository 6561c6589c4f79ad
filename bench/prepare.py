"""`python -m bench.prepare data=chexpert data.root=DIR`: decodes a data set once, checks it, and says what is in it.

It reads the same configuration as `bench.run` and leaves below `data.cache` the decoded images at
`protocol.image.resize`, and beside them the set's card and its split as files that can be published.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from analysis.interrupted import run_command
from bench import config
from bench.command import helped
from bench.errors import BenchError, ConfigError
from bench.paths import CONF
from bench.schema import Config
from bench.sweeps.plan import check_roots, in_order, plan

console = Console()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """Answers what only asks for help or information; Hydra stops before it gets here."""


def prepare(settings: Config) -> Path:
    """The folder of a set's decoded images, card and split; decodes what is missing there and checks what was there.

    Raises:
        BenchError: the set is not what it should be, an image cannot be used, or the disk is full: all that `bench.run`
            would refuse of a set, before it is trained on.
    """
    from bench.cells.ready import ready
    from bench.data.card import card, markdown, render
    from bench.data.sets import open_dataset
    from bench.data.splits import write_split

    # An image that is missing is said below, together with those that are there and cannot be used.
    data = open_dataset(dataclasses.replace(settings.data, on_bad_image="skip"), scored=settings.evaluation.tasks)
    data, caches = ready(data, settings, announce=_say)
    for place, cache in {cache.folder: cache for cache in caches.values()}.items():
        cache.verify()
        _say(f"{place}: {len(cache):,} images, {cache.bytes / 1e9:.2f} GB, every checksum holds")
    folder, found = caches["train"].folder, card(data)
    (folder / "card.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (folder / "card.md").write_text(markdown(found), encoding="utf-8")
    write_split(folder / "split.csv", data.sides)
    console.print(render(found))
    _say(f"card.json, card.md and split.csv lie in {folder}")
    return folder


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepares every set that the command line names; 2 where that is wrong, 1 where a set is."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if helped(arguments, __doc__):
        return 0
    try:
        sweep = plan(arguments)
        if sweep is not None and sweep.searched:
            raise ConfigError("a search chooses its cells as it goes; name the data set alone")
        if sweep is not None:
            check_roots(sweep)
        jobs = [] if sweep is None else [config.compose_config(overrides) for overrides in sweep.jobs]
    except ConfigError as error:
        print(f"bench.prepare: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
        return 2
    if sweep is None:
        sys.argv[1:] = in_order(arguments)
        config.register()
        job()
        return 0
    for settings in jobs:
        try:
            prepare(settings)
        except BenchError as error:
            print(f"bench.prepare: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
            return 1
    return 0


if __name__ == "__main__":
    run_command(main)
