"""The cheap part of `make operating`: the worlds in which a verdict went wrong before, a few times each."""

import numpy as np
import pytest

from tests.operating import tables
from tests.operating.verdicts import WORLDS, chunk, summarise

BY_NAME = {world.name: world for world in WORLDS}
MOST = 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
"""What 5 % may look like in 60 worlds."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_studies", "n_seeds"),
    [
        ("only families differ", 500, 3),
        ("only families differ, 3 studies a patient", 200, 1),
        ("the same, and families differ", 200, 3),
        ("top-1 predicts, rho = 0.7; 60 % training noise", 500, 1),
        ("truncation costs nothing", 200, 1),
        ("truncation costs the margin a halving", 500, 1),
    ],
)
def test_no_verdict_is_wrong_more_often_than_it_may_be(name, n_studies, n_seeds):
    found = summarise(chunk(BY_NAME[name], n_studies, n_seeds, range(60))).set_index("claim")
    assert len(found) >= 7
    assert found.loc[found["wrong"] > MOST, "wrong"].to_dict() == {}
    correlations = found[found.index.str.contains("^top1|^size|^small")]
    assert correlations["covered_measured"].min() >= 0.93 - 3 * (0.93 * 0.07 / 60) ** 0.5


@pytest.mark.slow
def test_a_claim_that_is_true_and_large_is_reproduced():
    rows = chunk(BY_NAME["size predicts, rho = 0.8; boost 0.017"], 500, 1, range(30))
    assert (rows.loc[rows["claim"] == "size_predicts_scratch", "verdict"] == "reproduced").sum() >= 18


@pytest.mark.slow
def test_words_of_the_tables_are_wrong_no_more_often_than_they_may_be():
    """Of some 50 truncated networks a world, 1.3 % standard error; of the best cell in 20 worlds, 4.9 %."""
    found = tables.wrong_words(BY_NAME["truncation costs the margin a halving"], 200, 1, range(20))
    assert found["worse, at 0"] < 5 + 3 * 1.3
    assert found["non-inferior, at the margin"] < 5 + 3 * 1.3
    assert found["task"] < 5 + 3 * 4.9
    assert found["worse"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_the_mixed_model_rejects_as_rarely_as_it_says(share):
    wrong, without = tables.rejections(share, 400)
    assert wrong < 100 * (0.05 + 3 * (0.05 * 0.95 / (400 * (1 - without / 100))) ** 0.5)
    assert np.isfinite(without)
