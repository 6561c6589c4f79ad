import numpy as np
import pytest
from scipy.stats import norm

from analysis.questions.best import best_note, with_best
from analysis.questions.compare import auroc_table
from tests.analysis.synthetic import make_cells, take


def holm(p, alpha):
    """Step down by hand: which hypotheses stay."""
    kept = np.ones(len(p), dtype=bool)
    for step, i in enumerate(np.argsort(p)):
        if p[i] * (len(p) - step) >= alpha:
            break
        kept[i] = False
    return kept


def make(cells, replicates, level=0.95):
    return with_best(auroc_table(cells, replicates, level=level), replicates, level=level)


def test_ties_are_those_that_a_loop_over_paired_differences_finds(rng):
    cells, replicates = make_cells(6, rng=rng, noise=0.004)
    table = make(cells, replicates)
    found = set()
    for t, task in enumerate(replicates.tasks):
        rows = table[table["task"] == task].reset_index(drop=True)
        best = int(rows["estimate"].idxmax())
        others = [i for i in range(len(rows)) if i != best]
        p = []
        for i in others:
            draws = [a - b for a, b in zip(replicates.resampled[i, t], replicates.resampled[best, t], strict=True)]
            p.append(2 * norm.sf(abs(rows["estimate"][i] - rows["estimate"][best]) / np.std(draws, ddof=1)))
        assert rows["p_from_best"][others].tolist() == pytest.approx(p)
        assert rows["tied_with_best"][others].tolist() == holm(np.array(p), 0.05).tolist()
        assert rows["tied_with_best"][best]
        assert np.isnan(rows["p_from_best"][best])
        found |= set(rows["tied_with_best"][others])
    assert found == {True, False}  # the made-up cells hold both kinds


def test_the_same_scores_tie_and_the_order_of_cells_does_not_matter(rng):
    cells, replicates = make_cells(3, rng=rng, noise=0.002)
    twice = take(cells, replicates, [0, 1, 2, 3, 4, 5, int(np.argmax(replicates.estimates[:, -1]))])
    table = make(*twice)
    mean = table[table["task"] == "mean"]
    assert mean["tied_with_best"].iloc[-1]
    assert (mean["difference_from_best"] == 0).sum() == 2
    order = [5, 2, 0, 1, 4, 3]
    straight, moved = make(cells, replicates), make(*take(cells, replicates, order))
    keys = ["cell", "task"]
    assert (
        moved.set_index(keys)["tied_with_best"]
        .sort_index()
        .equals(straight.set_index(keys)["tied_with_best"].sort_index())
    )


def test_undefined_cells_are_never_best(rng):
    cells, replicates = make_cells(2, rng=rng)
    replicates.estimates[0, 0] = np.nan
    replicates.resampled[0, 0] = np.nan
    replicates.estimates[:, 1] = np.nan
    replicates.resampled[:, 1] = np.nan
    table = make(cells, replicates)
    x = table[table["task"] == "x"].reset_index(drop=True)
    assert not x["tied_with_best"][0]
    assert x["tied_with_best"].any()
    assert not table.loc[table["task"] == "y", "tied_with_best"].any()


def test_the_note_names_test_level_and_correction():
    assert "significant at 0.05" in best_note(0.95)
    assert "Holm" in best_note(0.95)
