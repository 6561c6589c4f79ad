import itertools

import pytest
import pytorch_lightning as pl
import timm
import torch
from torch.utils.data import DataLoader, TensorDataset

from bench.errors import ConfigError
from bench.networks.adaptation import Adaptation, freeze, hold, parameter_groups, stages, trainable
from bench.networks.models import build_model
from bench.networks.modes import check_adapt
from bench.networks.registry import ARCHITECTURES, Architecture, architecture
from tests.bench.shapes import OUTPUTS, shaped

DEPTHS = [(row, depth) for row in ARCHITECTURES.values() for depth in range(len(row.cuts) + 1)]
IDS = [f"{row.name}-t{depth}" for row, depth in DEPTHS]
RESNET = architecture("resnet18")
BATCHES, SIDE = 3, 32


def fresh(row, depth=0):
    """A network without numbers that the test may change."""
    with torch.device("meta"):
        return build_model(row, outputs=OUTPUTS, weights=None, seed=0, depth=depth)


def own_parameters(network, group):
    modules = dict(network.named_modules())
    return [
        f"{name}.{own}".removeprefix(".") for name in group for own, _ in modules[name].named_parameters(recurse=False)
    ]


@pytest.mark.parametrize(("row", "depth"), DEPTHS, ids=IDS)
def test_every_parameter_stands_in_exactly_one_stage_and_the_head_comes_last(row, depth):
    network = shaped(row, depth)
    groups = [own_parameters(network, group) for group in stages(network, row)]
    assert list(itertools.chain(*groups)) == [name for name, _ in network.named_parameters()]
    assert len(groups) == len(row.cuts) - depth + 2
    assert all(groups)
    sizes = [tuple(network.get_parameter(name).shape) for name in groups[-1]]
    assert sizes == [(OUTPUTS, sizes[0][1]), (OUTPUTS,)], "the head is one linear layer to the outputs"


@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)
def test_the_first_stages_are_what_truncation_keeps(row):
    whole = shaped(row)
    groups = [own_parameters(whole, group) for group in stages(whole, row)]
    for depth in range(1, len(row.cuts) + 1):
        cut = {name.removeprefix("body.") for name, _ in shaped(row, depth).named_parameters()}
        assert set(itertools.chain(*groups[: -1 - depth])) == {name for name in cut if not name.startswith("head.")}


@pytest.mark.parametrize(("row", "depth"), DEPTHS, ids=IDS)
def test_the_range_told_before_anything_is_built_is_that_of_the_network(row, depth):
    network, most = shaped(row, depth), len(row.cuts) + 1 - depth
    assert trainable(network, row, f"last:{most}") == {name for name, _ in network.named_parameters()}
    with pytest.raises(ConfigError) as built:
        trainable(network, row, f"last:{most + 1}")
    with pytest.raises(ConfigError) as planned:
        check_adapt(row, depth, f"last:{most + 1}")
    assert str(built.value) == str(planned.value)


@pytest.mark.parametrize(
    ("adapt", "starts"),
    [
        ("linear", ("fc.",)),
        ("last:1", ("fc.", "layer4.")),
        ("last:2", ("fc.", "layer4.", "layer3.")),
        ("full", ("",)),
        ("lpft", ("",)),
    ],
)
def test_what_learns(adapt, starts):
    network = fresh(RESNET)
    assert trainable(network, RESNET, adapt) == {n for n, _ in network.named_parameters() if n.startswith(starts)}


def test_of_a_truncated_network_the_last_stage_is_the_last_that_is_left():
    assert {name.split(".")[1] for name in trainable(fresh(RESNET, 2), RESNET, "last:1")} == {
        "layer2",
        "weight",
        "bias",
    }


def test_freezing_holds_what_lies_wholly_in_frozen_stages_and_nothing_else():
    network = fresh(architecture("efficientnet_b0")).train()
    hold(freeze(network, architecture("efficientnet_b0"), "last:2"))
    assert not any(
        module.training for stage in (network.conv_stem, network.bn1, *network.blocks[:5]) for module in stage.modules()
    )
    learning = (network.blocks[5], network.blocks[6], network.conv_head, network.bn2, network.classifier)
    assert all(module.training for stage in learning for module in stage.modules())
    assert network.training, "part of it learns"
    assert network.blocks.training


def test_parameters_of_the_network_itself_are_the_stems():
    """A vision transformer's class token and positions belong to no module but the root."""
    row = Architecture("vit_tiny_patch16_224", "ViT", "ViT", "", ("blocks.8", "blocks.5"))
    with torch.device("meta"):
        network = timm.create_model(row.name, num_classes=3)
    groups = [own_parameters(network, group) for group in stages(network, row)]
    assert {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.5.norm1.weight"} < set(groups[0])
    assert {name.split(".")[0] for name in groups[2]} == {"blocks", "norm"}
    assert groups[3] == ["head.weight", "head.bias"]


@pytest.mark.parametrize("name", ["convnext_tiny", "regnety_002"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_other_networks_of_timm_are_divided_where_they_are_cut(name, depth):
    """The one loses its dropped stages, the other keeps them as empty modules of the same name."""
    row = architecture(name)
    network = shaped(row, depth)
    groups = [own_parameters(network, group) for group in stages(network, row)]
    assert set(itertools.chain(*groups)) == {name for name, _ in network.named_parameters()}
    assert len(groups) == len(row.cuts) - depth + 2
    assert all(groups)


def test_a_network_whose_stages_are_unknown_can_be_probed_but_not_divided():
    row = Architecture("resnet18", "ResNet", "ResNet-18", "", ("layer9", "layer2"))
    network = fresh(RESNET)
    assert trainable(network, row, "linear") == {"fc.weight", "fc.bias"}
    with pytest.raises(ConfigError, match="resnet18 lacks a module of layer9, layer2"):
        trainable(network, row, "last:1")


def test_one_rate_is_one_group_in_the_networks_own_order():
    network = fresh(RESNET)
    (group,) = parameter_groups(network, RESNET, lr=0.1, lr_decay=1.0)
    assert group["lr"] == 0.1
    assert all(given is own for given, own in zip(group["params"], network.parameters(), strict=True))


def test_rates_fall_with_the_distance_from_the_head():
    network = fresh(RESNET, 1)
    rate = {}
    for group in parameter_groups(network, RESNET, lr=0.1, lr_decay=0.5):
        rate |= dict.fromkeys(group["params"], group["lr"])
    assert len(rate) == len(list(network.parameters()))
    assert {name.removeprefix("body.").split(".")[0]: rate[own] for name, own in network.named_parameters()} == {
        "head": 0.1,
        "layer3": 0.05,
        "layer2": 0.025,
        "layer1": 0.0125,
        "conv1": 0.0125,
        "bn1": 0.0125,
    }


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_the_optimiser_gets_what_learns_only(decay):
    network = fresh(RESNET)
    freeze(network, RESNET, "last:1")
    groups = parameter_groups(network, RESNET, lr=0.1, lr_decay=decay)
    given = [parameter for group in groups for parameter in group["params"]]
    assert set(given) == {own for name, own in network.named_parameters() if name.startswith(("layer4.", "fc."))}


class Toy(pl.LightningModule):
    """Trains a network on random images, and calls `train()` at the worst moment, as a library might."""

    def __init__(self, network, lr_decay=1.0):
        super().__init__()
        self.network, self._lr_decay = network, lr_decay
        self.after = []

    def on_train_epoch_start(self):
        self.train()

    def training_step(self, batch, _):
        images, labels = batch
        return torch.nn.functional.binary_cross_entropy_with_logits(self.network(images), labels)

    def validation_step(self, batch, _):
        self.log("loss", self.training_step(batch, 0))

    def on_train_epoch_end(self):
        self.after.append(copied(self.network))

    def configure_optimizers(self):
        return torch.optim.Adam(parameter_groups(self.network, RESNET, lr=1e-2, lr_decay=self._lr_decay))


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def resnet():
    return build_model(RESNET, outputs=3, weights=None, seed=0)


class Resumable(DataLoader):
    """Lightning goes on in the middle of an epoch only with a loader that says that it can."""

    def state_dict(self):
        return {}

    def load_state_dict(self, _):
        """Every batch is the same, so there is no place to find."""


def loader():
    noise = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, SIDE, SIDE, generator=noise).repeat(BATCHES, 1, 1, 1)
    labels = (torch.rand(4, 3, generator=noise) > 0.5).float().repeat(BATCHES, 1)
    return Resumable(TensorDataset(images, labels), batch_size=4)


def fit(network, adapt, *, epochs=1, probe_epochs=1, callbacks=(), resume=None):
    own = [] if adapt is None else [Adaptation(network, RESNET, adapt, probe_epochs=probe_epochs)]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[*own, *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        val_check_interval=2,  # in the middle of an epoch, so that training goes on after an evaluation
    )
    toy = Toy(network)
    trainer.fit(toy, loader(), loader(), ckpt_path=resume)
    return toy, trainer


def moved(before, after):
    """The first parts of the names of what differs, in any bit."""
    return {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize(
    ("adapt", "expected"),
    [
        ("linear", {"fc"}),
        ("last:1", {"fc", "layer4"}),
        ("full", {"fc", "layer4", "layer3", "layer2", "layer1", "conv1", "bn1"}),
    ],
)
def test_a_fit_leaves_what_is_frozen_bit_for_bit_batchnorm_statistics_and_counters_included(adapt, expected):
    network = resnet()
    before = copied(network)
    _, trainer = fit(network, adapt)
    assert trainer.global_step == BATCHES
    assert moved(before, network.state_dict()) == expected


@pytest.mark.slow
def test_training_everything_gives_the_numbers_of_a_plain_fit():
    one, other = resnet(), resnet()
    fit(one, "full", epochs=2)
    fit(other, None, epochs=2)
    assert not moved(one.state_dict(), other.state_dict())


@pytest.mark.slow
def test_a_probe_trains_the_head_alone_and_then_everything():
    network = resnet()
    before = copied(network)
    toy, trainer = fit(network, "lpft", epochs=3, probe_epochs=2)
    assert moved(before, toy.after[0]) == {"fc"}
    assert moved(toy.after[0], toy.after[1]) == {"fc"}
    assert len(moved(toy.after[1], toy.after[2])) == 7
    (optimiser,) = trainer.optimizers
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(network.parameters()))
    steps = {name: int(optimiser.state[own]["step"]) for name, own in network.named_parameters()}
    assert (steps["fc.weight"], steps["conv1.weight"]) == (3 * BATCHES, BATCHES)


def test_the_phase_follows_the_epoch_that_it_is_told_where_the_trainer_counts_otherwise():
    network = resnet()
    told = Adaptation(network, RESNET, "lpft", probe_epochs=1, epoch=iter([0, 1, 1]).__next__)
    _, trainer = fit(network, None, callbacks=[told])
    steps = {name: int(trainer.optimizers[0].state[own]["step"]) for name, own in network.named_parameters()}
    assert (trainer.current_epoch, steps["fc.weight"], steps["conv1.weight"]) == (1, 3, 2)


class Save(pl.Callback):
    """Writes a checkpoint once, after a step."""

    def __init__(self, path, step):
        self._path, self._step = path, step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self._step:
            trainer.save_checkpoint(self._path)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4], ids=["in the probe", "after it"])
def test_a_probe_that_goes_on_in_the_middle_of_an_epoch_ends_as_if_it_had_not_stopped(tmp_path, step):
    whole, resumed = resnet(), build_model(RESNET, outputs=3, weights=None, seed=7)
    fit(whole, "lpft", epochs=2, callbacks=[Save(tmp_path / "stopped.ckpt", step)])
    _, trainer = fit(resumed, "lpft", epochs=2, resume=tmp_path / "stopped.ckpt")
    assert trainer.global_step == 2 * BATCHES
    assert not moved(whole.state_dict(), resumed.state_dict())
