import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from bench.networks.models import Normalisation
from bench.training import arithmetic
from bench.training.module import Classifier, collect


def no_optimizer(_):
    raise AssertionError("nothing is trained here")


def test_the_network_sees_three_normalised_channels():
    seen = []

    class Spy(nn.Module):
        def forward(self, image):
            seen.append(image)
            return image.mean((2, 3))

    norm = Normalisation((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    module = Classifier(Spy(), norm, (1, 1, 1), optimizer=no_optimizer)
    module(torch.full((2, 1, 4, 4), 51, dtype=torch.uint8))  # 51 / 255 = 0.2
    expected = torch.tensor([(0.2 - 0.4) / 0.1, (0.2 - 0.5) / 0.2, (0.2 - 0.6) / 0.3])
    assert seen[0].shape == (2, 3, 4, 4)
    torch.testing.assert_close(seen[0][0, :, 0, 0], expected)


def test_scores_are_collected_in_the_order_of_the_rows():
    first = (torch.tensor([2, 0]), torch.tensor([[0.2], [0.0]], dtype=torch.float64))
    second = (torch.tensor([1]), torch.tensor([[0.1]], dtype=torch.float64))
    np.testing.assert_array_equal(collect([first, second]), [[0.0], [0.1], [0.2]])


def test_the_scores_of_record_are_computed_in_fp32_whatever_the_training_is_in():
    kinds = []
    convolutions, _, fp32, _ = arithmetic._switches()

    class Spy(nn.Linear):
        def forward(self, image):
            logits = super().forward(image.flatten(1))
            kinds.append((logits.dtype, getattr(*convolutions)))
            return logits

    module = Classifier(Spy(3, 2), Normalisation((0.5,) * 3, (0.1,) * 3), (1, 1), optimizer=no_optimizer, bf16=True)
    batch = {"image": torch.tensor([[[[77]]]], dtype=torch.uint8), "row": torch.tensor([0])}
    default = getattr(*convolutions)
    with torch.no_grad():
        _, exact = module.predict_step(batch)
        with torch.autocast("cpu", torch.bfloat16):
            _, scores = module.predict_step(batch)
        module.validation_step(batch, 0)
    assert kinds == [(torch.float32, fp32)] * 2 + [(torch.bfloat16, default)]
    assert torch.equal(scores, exact)
    assert getattr(*convolutions) == default != fp32


@pytest.mark.parametrize("rows", [[0, 0], [1, 2]])
def test_a_missing_or_repeated_image_is_refused(rows):
    with pytest.raises(ValueError, match="exactly once"):
        collect([(torch.tensor(rows), torch.zeros(2, 1, dtype=torch.float64))])


def test_the_progress_bars_auroc_is_scikit_learns_on_the_whole_set():
    """Batch by batch, unknown labels left out; the numbers of record never come from here."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (90, 3)).astype(float)
    labels[rng.random((90, 3)) < 0.2] = np.nan
    logits = torch.from_numpy(rng.normal(size=(90, 1, 1, 3)))

    class Echo(nn.Module):
        def forward(self, image):
            return logits[image[:, 0, 0, 0].round().long(), 0, 0]

    module = Classifier(Echo(), Normalisation((0.0,), (1 / 255,)), (1, 1, 1), optimizer=no_optimizer, scored=[0, 2])
    for start in range(0, 90, 16):
        rows = torch.arange(start, min(start + 16, 90))
        image = rows.to(torch.uint8).view(-1, 1, 1, 1)
        module.validation_step({"image": image, "row": rows, "label": torch.from_numpy(labels)[rows]}, 0)
    expected = []
    for task in (0, 2):
        known = ~np.isnan(labels[:, task])
        expected.append(roc_auc_score(labels[known, task], logits[known, 0, 0, task].numpy()))
    assert module.shown_auroc() == pytest.approx(np.mean(expected), abs=1e-6)
    np.testing.assert_array_equal(module.validation_scores(), torch.sigmoid(logits[:, 0, 0]).numpy())
