"""`python -m bench.export run=<id>`: a run's prediction as ONNX and torch.export, checked against its scores."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis.interrupted import run_command
from bench.command import command
from bench.paths import in_project
from bench.schema import ExportConfig

console = Console()


def export(settings: ExportConfig) -> Path:
    """The folder that then holds prediction.onnx, prediction.pt2 and preprocessing.json.

    Raises:
        BenchError: the run cannot be opened or exported; or the files do not give its scores, and then none is left.
    """
    from bench.finished.exported import TOLERANCE, write
    from bench.finished.saved import open_run, open_store
    from bench.quiet import quiet

    quiet()
    run = open_run(open_store(settings.tracking), settings.run)
    folder = in_project(settings.out or f"exports/{run.run_id}")
    agreement = write(run, folder, images=settings.images, root=settings.root)
    console.print(
        f"{folder}: the largest difference from the run's saved scores is {agreement.from_scores:.1e}, over "
        f"{agreement.images} of its test images (allowed: {TOLERANCE:g})",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    return folder


def work(jobs: Sequence[ExportConfig]) -> int:
    """Exports the run of every job."""
    for settings in jobs:
        export(settings)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports the run of every job on the command line; 2 where that is wrong, 1 where a run cannot be exported."""
    return command("export", work, arguments)


if __name__ == "__main__":
    run_command(main)
