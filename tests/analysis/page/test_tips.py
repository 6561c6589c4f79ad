import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures import auroc, boost, style
from analysis.page.tips import CURVE, marks, size


def drawn(points, draw, *, log=False):
    made = Figure(figsize=(4, 3), layout="constrained")
    ax = made.add_subplot()
    draw(ax)
    if log:
        ax.set_xscale("log")
    style.data_uri(made)
    return made, marks(made, points)


def frame(**columns):
    return pd.DataFrame({"arch": ["resnet18", "densenet121"]} | columns)


def test_a_point_stands_where_it_is_drawn_and_says_its_row():
    points = frame(x_value=[0.25, 0.75], estimate=[0.5, 0.875], low=[0.25, np.nan], high=[0.75, np.nan])
    made, found = drawn(points, lambda ax: ax.plot(points["x_value"], points["estimate"], "o"))
    assert [mark.text.splitlines()[:2] for mark in found] == [
        ["ResNet18", "0.500 (0.250 to 0.750)"],
        ["DenseNet121", "0.875"],
    ]
    assert size(made) == (288, 216)
    box = made.axes[0].get_position()  # of the axes, in shares of the figure, from below
    (left, right), (bottom, top) = made.axes[0].get_xlim(), made.axes[0].get_ylim()
    for mark, (_, row) in zip(found, points.iterrows(), strict=True):
        across = box.x0 + box.width * (row["x_value"] - left) / (right - left)
        up = box.y0 + box.height * (row["estimate"] - bottom) / (top - bottom)
        assert (mark.x, mark.y) == pytest.approx((288 * across, 216 * (1 - up)), abs=0.06)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e-3, 1e-6, 1e-9])
def test_an_axis_may_have_another_unit(scale):
    points = frame(parameters=[11.184e6, 6.968e6], estimate=[0.8, 0.9])
    _, found = drawn(points, lambda ax: ax.scatter(points["parameters"] * scale, points["estimate"]), log=True)
    assert [mark.arch for mark in found] == ["resnet18", "densenet121"]
    assert "Parameters 11.18 million" in found[0].text


def test_what_no_row_explains_says_nothing():
    points = frame(estimate=[0.5, 0.6], row=[0.0, 1.0])

    def draw(ax):
        ax.plot([0.5, 0.6, 0.55], [1.0, 0.0, 0.5], "o")  # each number is in the table, and no pair in one row
        ax.axhline(0.5)

    assert drawn(points, draw)[1] == []


def test_one_number_of_a_row_cannot_be_both_coordinates():
    points = frame(estimate=[0.5, 0.6])
    assert drawn(points, lambda ax: ax.plot([0.5], [0.5], "o"))[1] == []


def test_rows_at_one_place_take_turns():
    points = frame(x_value=[1.0, 1.0], estimate=[0.5, 0.5])
    _, found = drawn(points, lambda ax: ax.plot([1.0, 1.0], [0.5, 0.5], "o"))
    assert [mark.arch for mark in found] == ["resnet18", "densenet121"]


def test_points_out_of_sight_and_fitted_lines_say_nothing():
    points = frame(x_value=[1.0, 5.0], estimate=[0.5, 0.6])
    points.loc[len(points)] = ["", 1.5, 0.55]

    def draw(ax):
        ax.plot([1.0, 5.0, 1.5], [0.5, 0.6, 0.55], "o")
        ax.set_xlim(0, 2)

    assert [mark.arch for mark in drawn(points, draw)[1]] == ["resnet18"]


def test_a_curve_answers_at_some_places():
    x = np.linspace(0, 1, 500)
    points = pd.DataFrame({"arch": "resnet18", "false_positive_rate": x, "estimate": np.sqrt(x)})
    _, found = drawn(points, lambda ax: ax.plot(x, np.sqrt(x)))
    assert len(found) == CURVE
    assert found[0].x < found[-1].x


def test_a_table_without_architectures_has_no_marks():
    points = pd.DataFrame({"x_value": [1.0], "estimate": [0.5]})
    assert drawn(points, lambda ax: ax.plot([1.0], [0.5], "o"))[1] == []


def test_weights_depth_seed_and_tests_are_said():
    points = frame(estimate=[0.5, 0.6], y=[0.0, 1.0], pretrained=[True, False], truncate=[0, 2], seed=[3, 4])
    points["task"] = ["mean", "pleural_effusion"]
    points["p_holm"], points["significant"] = [0.012345, np.nan], [True, False]
    _, found = drawn(points, lambda ax: ax.plot(points["estimate"], points["y"], "o"))
    assert [mark.text for mark in found] == [
        "ResNet18, pretrained, seed 3\n0.500\np (Holm) 0.01235\nSignificant: yes",
        "DenseNet121, from scratch, truncated by 2, seed 4, Pleural effusion\n0.600\nSignificant: no",
    ]


def test_every_cell_of_the_figures_answers():
    rows = pd.DataFrame(
        {"cell": list("abcd"), "arch": ["a", "a", "b", "b"], "family": ["F", "F", "G", "G"]}
        | {"pretrained": [True, False] * 2, "seed": 0, "truncate": 0, "task": "mean", "estimate": [0.8, 0.7, 0.9, 0.6]}
        | {"low": 0.5, "high": 0.95, "level": 0.95, "method": "percentile", "n_units": 9, "unit": "study"}
        | {"n_resamples": 10}
    )
    points = auroc.table(rows)
    made = auroc.figure(rows, points)
    style.data_uri(made)
    assert {mark.text.splitlines()[0] for mark in marks(made, points)} == {
        *("a, pretrained, seed 0", "a, from scratch, seed 0", "b, pretrained, seed 0", "b, from scratch, seed 0"),
    }
    boosts = rows[rows["pretrained"]].assign(estimate=[0.1, 0.3], p_holm=0.5, cell_pretrained="a")
    points = boost.table(boosts)
    made = boost.figure(boosts, points)
    style.data_uri(made)
    assert [mark.arch for mark in marks(made, points)] == ["a", "b"]
