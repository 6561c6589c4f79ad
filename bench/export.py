"""`python -m bench.export run=<id>`: a run's prediction as ONNX and torch.export, checked against its scores."""

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from bench import config
from bench.errors import BenchError, ConfigError
from bench.paths import CONF, in_project
from bench.schema import ExportConfig
from bench.sweeps.plan import plan

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


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="export")
def job(_: DictConfig) -> None:
    """Reached only where Hydra is asked for help or information, which it then gives."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exports the run of every job on the command line; 2 where that is wrong, 1 where a run cannot be exported."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        planned = plan(arguments, "export")
    except ConfigError as error:
        print(f"bench.export: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
        return 2
    if planned is None:
        config.register()
        sys.argv[1:] = arguments
        job()
        return 0
    try:
        for overrides in planned.jobs:
            export(config.compose_config(overrides, "export"))
    except BenchError as error:
        print(f"bench.export: {error}", file=sys.stderr)  # noqa: T201  # as above
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
