import numpy as np
import pytest

from analysis import reference
from analysis.figures import arms, style, summary
from analysis.questions.compare import auroc_table
from analysis.questions.scatter import collect, points_table
from analysis.questions.truncation import truncation_table
from tests.analysis.synthetic import make_cells


def make(n, rng, **kwargs):
    cells, replicates = make_cells(n, rng=rng, **kwargs)
    tags = [reference.paper_era(a) if p else "none" for a, p in zip(cells["arch"], cells["pretrained"], strict=True)]
    cells["weights"] = tags
    points = points_table(collect(cells, replicates), level=0.95)
    networks = auroc_table(cells, replicates, level=0.95)
    return summary.table(points, networks, truncation_table(cells, replicates, level=0.95, margin=0.01)), networks


def test_the_table_holds_the_points_of_each_panels_own_figure(rng):
    drawn, networks = make(4, rng, depths=(0, 1))
    assert drawn["panel"].unique().tolist() == ["top1", "families", "arms", "truncation"]
    assert (drawn["panel"] == "truncation").sum() == 4 * 2
    kinds = {name: {type(value) for value in drawn[name].dropna()} for name in drawn.columns}
    assert all(len(found) == 1 for name, found in kinds.items() if name not in ("pretrained", "noninferior")), kinds
    mean = networks[(networks["task"] == "mean") & (networks["truncate"] == 0)]
    both = drawn[drawn["panel"] == "arms"]
    for pretrained, columns in (
        (False, ["scratch", "scratch_low", "scratch_high"]),
        (True, ["estimate", "low", "high"]),
    ):
        side = mean[mean["pretrained"] == pretrained][["estimate", "low", "high"]]
        np.testing.assert_array_equal(both[columns].to_numpy(dtype=float), side.to_numpy())


@pytest.mark.parametrize("form", [style.TWO, style.Format("one", "serif")])
def test_four_panels_with_what_is_drawn_in_them(form, rng, tmp_path):
    drawn, _ = make(16, rng, depths=(0, 1, 2))
    figure = summary.figure(drawn, None, ["Bars: an interval."], form)
    style.save(figure, drawn, tmp_path, "summary")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [title[0] for title in titles] == ["a", "b", "c", "d"]
    both = drawn[drawn["panel"] == "arms"]
    dots = np.concatenate([line.get_xydata() for line in figure.axes[2].lines if line.get_linestyle() == "None"])
    expected = both[["scratch", "estimate"]].to_numpy(dtype=float)
    np.testing.assert_allclose(dots[np.argsort(dots[:, 0])], expected[np.argsort(expected[:, 0])])
    assert figure.get_suptitle().startswith("Bars: an interval.\na: line and band: least squares")
    assert "margin 0.01" in figure.get_suptitle()


def test_a_panel_that_cannot_be_drawn_says_why(rng):
    drawn, _ = make(2, rng, arms=(True,))
    figure = summary.figure(drawn, absent=summary.ABSENT | {"arms": "for another reason"})
    said = [" ".join(text.get_text() for text in ax.texts).replace("\n", " ") for ax in figure.axes]
    assert said[1] == "No network from scratch has a known number of parameters."
    assert said[2] == "for another reason"
    assert said[3] == "No truncated pretrained network stands beside its full one."
    assert "DenseNet121" in said[0]


def test_with_nothing_to_draw_there_is_no_table(rng):
    cells, replicates = make_cells(1, arms=(False,), rng=rng)
    networks = auroc_table(cells, replicates, level=0.95)
    points = points_table([], level=0.95)
    empty = summary.table(points, networks, truncation_table(cells, replicates, level=0.95, margin=0.01))
    assert empty.empty
    assert arms.table(networks).empty
