"""`python -m bench.prefetch [+sweeps=NAME] [key=value ...]`: brings the weights of a sweep into the local hub cache.

Without anything, those of the paper's 16 architectures; else those of the cells that `bench.run` would start with the
same words. With them in the cache, the same cells run on a machine that has no internet (HF_HUB_OFFLINE=1).
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from analysis.interrupted import run_command
from bench.errors import BenchError, ConfigError, TornWeightsError
from bench.networks import hub
from bench.networks.registry import ARCHITECTURES, Architecture, architecture
from bench.networks.weights import RUN, Weights, describe, find_here, locate, weights_name
from bench.schema import Config, WeightsConfig
from bench.sweeps.plan import plan

WIDTH = 120
"""Characters that the table needs, also where the output is no terminal."""

MIB = 2**20


@dataclass(frozen=True)
class Wanted:
    """One weight file that a cell needs."""

    row: Architecture
    config: WeightsConfig

    @property
    def name(self) -> str:
        """`<timm name>.<tag>`, or the source."""
        return weights_name(self.row, self.config)


def wanted(configs: Iterable[Config]) -> list[Wanted]:
    """The weight files of the pretrained ones among the cells, each once, in the cells' order."""
    files = [Wanted(architecture(cell.arch), cell.weights) for cell in configs if cell.pretrained]
    return list({(file.name, file.config.dir): file for file in files}.values())


def paper() -> list[Wanted]:
    """The pinned weight files of the paper's architectures."""
    return [Wanted(row, WeightsConfig()) for row in ARCHITECTURES.values() if row.paper]


def bring(file: Wanted) -> tuple[str, Weights]:
    """(`had`, `fetched` or `fetched again`, the file).

    Raises:
        WeightsError: it cannot be had.
        TornWeightsError: the one in the cache is not whole, and the hub cannot give it again.
    """
    try:
        here = find_here(file.row, file.config)
    except TornWeightsError as error:
        problem = hub.problem(file.name)
        if problem is not None:
            raise TornWeightsError(f"{error}; {problem}") from None
        return "fetched again", describe(hub.download(file.name, again=True), file.name)
    return ("had", here) if here is not None else ("fetched", locate(file.row, file.config))


def bring_all(files: Sequence[Wanted], console: Console) -> int:
    """Brings every file, prints what came of each; 1 where one could not be had, after the others were brought."""
    table = Table("weights", "", "MiB", "file", box=None)
    problems = []
    for file in files:
        if (file.config.source or "").startswith(RUN):
            table.add_row(file.name, "not fetched", "", "lies in the tracking store")
            continue
        try:
            state, found = bring(file)
        except BenchError as error:
            problems.append(str(error))
            table.add_row(file.name, "missing", "", "")
        else:
            size = found.path.stat().st_size / MIB
            table.add_row(file.name, state, f"{size:.1f}", str(found.path))
    console.print(table)
    for problem in problems:
        console.print(problem, markup=False, soft_wrap=True, highlight=False)
    return 1 if problems else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks the command line as `bench.run` does; 0 only if every file is there, 2 where the line is wrong."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(width=max(WIDTH, Console().width))
    try:
        sweep = plan(arguments)
    except ConfigError as error:
        print(f"bench.prefetch: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
        return 2
    if sweep is None:
        console.print(__doc__, markup=False)
        return 0
    if sweep.searched:
        print("bench.prefetch: a search chooses its cells as it goes; name its architectures", file=sys.stderr)  # noqa: T201  # as above
        return 2
    return bring_all(wanted(sweep.configs) if arguments else paper(), console)


if __name__ == "__main__":
    run_command(main)
