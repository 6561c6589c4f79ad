"""`python -m bench.run`: one cell, or with `-m` or `+sweeps=NAME` many. Help and refusals import no torch."""

import sys
from collections.abc import Sequence

import hydra
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from bench import config
from bench.errors import BenchError, ConfigError
from bench.paths import CONF
from bench.sweep import Sweep, plan

console = Console()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """Runs one cell of Hydra's; its failure is recorded and said, and does not stop the sweep's others."""
    from hydra.core.hydra_config import HydraConfig

    from bench.quiet import quiet
    from bench.runner import run_cell, store_of

    quiet()
    checked = config.to_config(composed)
    number = 1 + (HydraConfig.get().job.num if HydraConfig.get().mode == RunMode.MULTIRUN else 0)
    where = f"cell {number} of {checked.sweep.size}"
    try:
        run_cell(checked, store_of(checked), announce=lambda text: console.print(f"[bold]{where}[/]  {text}"))
    except BenchError as error:
        console.print(f"[red]failed:[/] {error}", soft_wrap=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks the whole command line, hands it to Hydra, and closes with a table; 0 only if every cell is done."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sweep = plan(arguments)
    except ConfigError as error:
        print(f"bench.run: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
        return 2
    config.register()
    if sweep is None:
        job()
        return 0
    sys.argv[1:] = [*arguments, f"++sweep.size={len(sweep.jobs)}"]
    crashed = False
    try:
        job()
    except SystemExit as stop:  # Hydra's, after it printed the first unexpected error; the others' cells still count
        crashed = bool(stop.code)
    return max(_close(sweep), int(crashed))


def _close(sweep: Sweep) -> int:
    from bench.closing import closing_table

    return closing_table(console, [config.compose_config(job) for job in sweep.jobs])


if __name__ == "__main__":
    sys.exit(main())
