"""`python -m bench.pretrain`: train a network on any image folder and export its body as pretrained weights.

python -m bench.pretrain -m arch=resnet18,densenet121 source=shapes     generated shapes, for `make demo`
python -m bench.pretrain arch=resnet18 source=folder source.root=DIR weights.tag=clothing
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from analysis.interrupted import run_command
from bench import config, waiting
from bench.errors import ConfigError
from bench.paths import CONF
from bench.schema import PretrainConfig
from bench.sweeps.plan import in_order, plan

console = Console()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="pretrain")
def job(composed: DictConfig) -> None:
    """Pretrains one network and writes its weight file; leaves a file that is there already."""
    from bench.quiet import quiet

    quiet()
    pretrain(config.to_config(composed, "pretrain"))


def pretrain(settings: PretrainConfig) -> Path:
    """The weight file of one network, trained where it is not there yet.

    Raises:
        BenchError: the image folder is not one.
    """
    from bench.networks.registry import architecture
    from bench.networks.weights import destination
    from bench.training.classification import export, fit, open_folder
    from bench.training.devices import unused_gpu

    row = architecture(settings.arch)
    tag = settings.weights.tag or settings.source.name
    path = destination(row, settings.weights, tag)
    if path.exists():
        console.print(f"{path}: there already, left as it is; remove it to train it anew", soft_wrap=True)
        return path
    folder = open_folder(settings.source)
    if said := unused_gpu(settings.trainer):
        console.print(said, soft_wrap=True)
    console.print(f"pretraining {row.name} on {folder.name}: {len(folder.classes)} classes, {settings.epochs} epochs")
    network, top1 = fit(row, folder, settings)
    export(network, path, folder, {"valid_top1": f"{top1:.4f}", "epochs": str(settings.epochs)})
    console.print(f"{path}: top-1 {top1:.1%} on the folder's validation images", soft_wrap=True)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks the command line and hands it to Hydra."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        plan(arguments, "pretrain")
    except ConfigError as error:
        print(f"bench.pretrain: {error}", file=sys.stderr)  # noqa: T201  # plain, for logs and pipes
        return 2
    sys.argv[1:] = in_order(arguments)
    waiting.choose()
    config.register()
    job()
    return 0


if __name__ == "__main__":
    run_command(main)
