"""`python -m bench.sync [tracking.uri=...] [outputs=DIR]`: brings in what was recorded without a tracking server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from analysis.interrupted import run_command
from bench.command import command
from bench.paths import in_project
from bench.schema import SyncConfig

if TYPE_CHECKING:
    from bench.tracking.server import Server
    from bench.tracking.spool import Spool

console = Console()


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        name: of its cell's run.
        said: in words.
        settled: whether nothing is left to do for it.
    """

    name: str
    said: str
    settled: bool


def sync(uri: str, outputs: Path) -> Iterator[Outcome]:
    """What becomes of every attempt below `outputs` that the server does not have whole; one after another.

    However often it is called, and in how many processes, each is brought in once: whoever holds its lock brings it,
    and goes on where the last one stopped.

    Raises:
        TrackingError: the server cannot be used.
    """
    from bench.tracking.server import RefusedError, Server
    from bench.tracking.spool import spools

    servers: dict[str, Server] = {}
    for spool in spools(outputs):
        with spool.held() as free:
            if not spool.exists or spool.uploaded:
                continue
            told = spool.summary()
            if not free:
                yield Outcome(told.name, "is being trained or brought in by another process", settled=True)
                continue
            if told.experiment not in servers:
                try:
                    servers[told.experiment] = Server(uri, told.experiment)
                except RefusedError as error:  # of this experiment; others may be recorded in
                    yield Outcome(told.name, f"not brought in: {error}", settled=False)
                    continue
            said, settled = _bring_in(servers[told.experiment], spool, told.cell)
            yield Outcome(told.name, said, settled)


def _bring_in(server: "Server", spool: "Spool", cell: str) -> tuple[str, bool]:
    from bench.tracking.claims import ClaimLostError, ClaimTakenError, acquire
    from bench.tracking.delivery import SupersededError, bring_in
    from bench.tracking.server import UnavailableError

    try:
        claim = acquire(server, cell)
        try:
            return f"brought in, as run {bring_in(server, spool, claim.ensure)}", True
        finally:
            claim.release()
    except SupersededError as error:
        return str(error), True
    except (ClaimTakenError, ClaimLostError, UnavailableError) as error:
        return f"not brought in: {error}", False


def work(jobs: Sequence[SyncConfig]) -> int:
    """Says what became of each attempt of every job; 1 where something is left to bring in."""
    outcomes: list[Outcome] = []
    for settings in jobs:
        for outcome in sync(settings.tracking.uri, in_project(settings.outputs)):
            console.print(f"{escape(outcome.name)}: {escape(outcome.said)}", soft_wrap=True, highlight=False)
            outcomes.append(outcome)
    if not outcomes:
        console.print("nothing to bring in")
    return 0 if all(outcome.settled for outcome in outcomes) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Says what became of each attempt; 2 where the command line is wrong, 1 where something is left to bring in."""
    return command("sync", work, arguments)


if __name__ == "__main__":
    run_command(main)
