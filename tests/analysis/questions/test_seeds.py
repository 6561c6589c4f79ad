import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.questions.boosts import corrected, pooled_table
from analysis.questions.compare import boost_table
from analysis.questions.family import family_table
from analysis.questions.pareto import pareto_table
from analysis.questions.seeds import draw_weights, group_seeds, mean_over_seeds, seed_note, spread_table
from analysis.questions.truncation import truncation_table
from tests.analysis.synthetic import make_cells, take


def test_with_one_seed_nothing_changes(rng):
    cells, replicates = make_cells(3, rng=rng)
    before = rng.bit_generator.state
    groups, grouped = group_seeds(cells, replicates, rng=rng)
    assert rng.bit_generator.state == before  # nothing is drawn
    np.testing.assert_array_equal(grouped.estimates, replicates.estimates)
    np.testing.assert_array_equal(grouped.resampled, replicates.resampled)
    for column in ("cell", "arch", "seed", "truncate", "pretrained", "parameters", "fit_seconds"):
        assert groups[column].tolist() == cells[column].tolist()
    assert groups["n_seeds"].tolist() == [1] * 6


def test_one_seed_gives_the_tables_of_the_cells(rng):
    cells, replicates = make_cells(6, depths=(0, 1), rng=rng)
    groups, grouped = group_seeds(cells, replicates, rng=rng)
    for table in (
        lambda frame, values: boost_table(frame, values, level=0.9),
        lambda frame, values: truncation_table(frame, values, level=0.9, margin=0.01),
        lambda frame, values: pareto_table(frame, values, level=0.9),
        lambda frame, values: pooled_table(frame, values, level=0.9),
        lambda frame, values: family_table(frame, values, level=0.9, n_permutations=9, rng=np.random.default_rng(1)),
    ):
        pd.testing.assert_frame_equal(table(groups, grouped), table(cells, replicates), check_dtype=False)


def test_the_mean_over_seeds_by_hand(rng):
    resampled = rng.normal(size=(3, 2, 50))
    drawn = np.random.default_rng(5).multinomial(2, [1 / 3] * 3, size=50)
    expected = np.empty((2, 50))
    for i in range(50):
        chosen = [seed for seed in range(3) for _ in range(drawn[i, seed])]
        expected[:, i] = sum(resampled[seed, :, i] for seed in chosen) / 2
    np.testing.assert_allclose(mean_over_seeds(resampled, rng=np.random.default_rng(5)), expected, atol=1e-14)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_the_variance_of_the_seeds_is_that_of_their_mean(k):
    """Without noise of the test set, the hierarchical replicates have the variance s^2 / k."""
    values = np.random.default_rng(k).normal(size=k)
    draws = mean_over_seeds(np.repeat(values[:, None], 200_000, axis=1), rng=np.random.default_rng(0))
    assert draws.var() == pytest.approx(values.var(ddof=1) / k, rel=0.02)
    assert draws.mean() == pytest.approx(values.mean(), abs=0.01)


def test_both_parts_of_the_variance_are_there(rng):
    seeds, studies = rng.normal(size=(4, 1)), rng.normal(size=100_000)
    draws = mean_over_seeds(seeds + studies, rng=rng)
    assert draws.var() == pytest.approx(seeds.var(ddof=1) / 4 + studies.var(), rel=0.03)


def test_an_undefined_resample_of_any_seed_stays_undefined(rng):
    resampled = rng.normal(size=(3, 40))
    resampled[1, :10] = np.nan
    assert np.isnan(mean_over_seeds(resampled, rng=rng)).tolist() == [True] * 10 + [False] * 30


def test_seeds_become_one_row_and_are_named(rng):
    cells, replicates = make_cells(2, seeds=(2, 0, 11), rng=rng)
    groups, grouped = group_seeds(cells, replicates, rng=rng)
    assert groups["seed"].tolist() == ["0, 2, 11"] * 4
    assert groups.loc[0, "cell"] == "densenet121-True-0-2+densenet121-True-0-0+densenet121-True-0-11"
    assert groups["n_seeds"].tolist() == [3] * 4
    assert groups.loc[0, "fit_seconds"] == pytest.approx(60 + 13 / 3)
    np.testing.assert_allclose(grouped.estimates[0], replicates.estimates[:3].mean(axis=0))
    boosts = corrected(boost_table(groups, grouped, level=0.95))
    assert len(boosts) == 2 * 3
    expected = replicates.estimates[:3, 2].mean() - replicates.estimates[3:6, 2].mean()
    assert boosts.loc[2, "estimate"] == pytest.approx(expected)


def test_the_order_of_the_cells_does_not_matter_to_the_estimates(rng):
    cells, replicates = make_cells(3, seeds=(0, 1), rng=rng)
    groups, grouped = group_seeds(cells, replicates, rng=rng)
    moved, values = group_seeds(*take(cells, replicates, rng.permutation(len(cells))), rng=rng)
    by_name = dict(zip(zip(moved["arch"], moved["pretrained"], strict=True), values.estimates, strict=True))
    for name, row in zip(zip(groups["arch"], groups["pretrained"], strict=True), grouped.estimates, strict=True):
        np.testing.assert_allclose(by_name[name], row)


def test_the_spread_is_the_sample_standard_deviation(rng):
    cells, replicates = make_cells(2, seeds=(0, 1, 2), rng=rng)
    table = spread_table(cells, replicates)
    assert table["task"].tolist() == ["x", "y", "mean"] * 4
    row, values = table.iloc[1], replicates.estimates[:3, 1]
    assert row["sd"] == pytest.approx(np.sqrt(((values - values.mean()) ** 2).sum() / 2))
    assert (row["minimum"], row["maximum"], row["range"]) == (values.min(), values.max(), np.ptp(values))
    assert (row["n_seeds"], row["seeds"], row["mean"]) == (3, "0, 1, 2", pytest.approx(values.mean()))
    single = spread_table(*make_cells(1, rng=rng))
    assert single[["sd", "range"]].isna().all(axis=None)
    assert single["mean"].notna().all()


def test_networks_of_different_size_are_not_seeds_of_one(rng):
    cells, replicates = make_cells(1, seeds=(0, 1), rng=rng)
    cells.loc[1, "parameters"] = 5.0e6
    with pytest.raises(AnalysisError, match="densenet121 .* 5000000 and 6968000 parameters: they are different"):
        group_seeds(cells, replicates, rng=rng)
    cells.loc[1, "parameters"] = np.nan  # not known, so it contradicts nothing
    assert group_seeds(cells, replicates, rng=rng)[0].loc[0, "parameters"] == 6.968e6


def test_two_sets_of_weights_are_two_networks(rng):
    cells, replicates = make_cells(1, arms=(True,), seeds=(0, 1), rng=rng)
    cells.loc[1, "weights"] = "densenet121.other"
    assert group_seeds(cells, replicates, rng=rng)[0]["n_seeds"].tolist() == [1, 1]


def test_weights_sum_to_one(rng):
    assert draw_weights(1, 3, rng=rng).tolist() == [[1.0]] * 3
    assert draw_weights(5, 100, rng=rng).sum(axis=1) == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 1, not 0 and 3"):
        draw_weights(0, 3, rng=rng)


def test_the_note_says_what_the_intervals_hold(rng):
    cells, replicates = make_cells(2, seeds=(0, 1, 2), rng=rng)
    assert "one seed" in seed_note(group_seeds(*make_cells(2, rng=rng), rng=rng)[0])
    assert seed_note(group_seeds(cells, replicates, rng=rng)[0]).startswith("Means over 3 seeds")
    fewer = group_seeds(*take(cells, replicates, np.arange(10)), rng=rng)[0]
    assert seed_note(fewer).startswith("Means over 1 to 3 seeds")
    assert "1 of the networks have a single seed" in seed_note(fewer)
