"""`python -m bench.status [+sweeps=NAME] [key=value ...]`: each cell of a sweep: done, running, failed or missing.

Takes the words of `bench.run`; `--json` for scripts, `--watch` to look again every few seconds. Exit status 0 only when
all cells are done.
"""

import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.live import Live

from analysis.interrupted import run_command
from bench import config
from bench.command import helped, say_environment
from bench.errors import BenchError, ConfigError
from bench.sweeps.plan import Sweep, plan

LOOK_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the states; 0 only if all cells are done, 2 for a wrong command line."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if helped(arguments, __doc__):
        return 0
    flags = {"--json", "--watch"} & set(arguments)
    config.register()
    try:
        sweep = plan([text for text in arguments if text not in flags])
        if sweep is None or sweep.searched:
            raise ConfigError("a sweep is a list of cells here: +sweeps=NAME, or keys with several values and -m")
        say_environment(sweep.configs, arguments)
        return _watch(sweep) if "--watch" in flags else _look(sweep, as_json="--json" in flags)
    except BenchError as error:
        print(f"bench.status: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
        return 2


def _look(sweep: Sweep, *, as_json: bool) -> int:
    from bench.sweeps.closing import states_table
    from bench.sweeps.survey import survey

    now = time.time()
    cells = survey(sweep.configs, now=now)
    if as_json:
        print(json.dumps([_plain(cell) for cell in cells], indent=2))  # noqa: T201  # for programs
    else:
        console = Console()
        console.print(states_table(cells, now=now))
        for cell in cells:
            if cell.state == "failed":
                console.print(f"{cell.name}: {cell.problem}", soft_wrap=True, highlight=False, markup=False)
    return int(any(cell.state != "done" for cell in cells))


def _plain(cell: Any) -> dict[str, Any]:
    """A cell's state as JSON has it: what is undefined is null."""
    run = dataclasses.asdict(cell.run) if cell.run else {}
    flat = {"cell": cell.hash, "name": cell.name, "state": cell.state, "problem": cell.problem, **run}
    return {
        key: None if isinstance(value, float) and math.isnan(value) else _defined(value) for key, value in flat.items()
    }


def _defined(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if math.isnan(number) else number for key, number in value.items()}
    return value


def _watch(sweep: Sweep) -> int:
    """Looks until all are done; a server that is away, as while it is restarted, is waited for."""
    from bench.sweeps.closing import states_table
    from bench.sweeps.survey import stores, survey
    from bench.tracking.server import RefusedError, UnavailableError

    opened = stores(sweep.configs)
    with suppress(KeyboardInterrupt), Live(auto_refresh=False) as live:
        while True:
            now = time.time()
            try:
                cells = survey(sweep.configs, now=now, opened=opened)
            except RefusedError:
                raise
            except UnavailableError as error:
                live.console.print(f"no look now: {error}", soft_wrap=True, highlight=False, markup=False)
            else:
                live.update(states_table(cells, now=now), refresh=True)
                if all(cell.state == "done" for cell in cells):
                    return 0
            time.sleep(LOOK_SECONDS)
    return 1


if __name__ == "__main__":
    run_command(main)
