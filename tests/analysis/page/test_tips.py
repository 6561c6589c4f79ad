import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures import auroc, boost, style
from analysis.figures.canvas import plot
from analysis.page.tips import CURVE, marks, size


def drawn(draw):
    made = Figure(figsize=(4, 3), layout="constrained")
    draw(made.add_subplot())
    style.data_uri(made)
    return made, marks(made)


def frame(**columns):
    return pd.DataFrame({"arch": ["resnet18", "densenet121"]} | columns)


def test_a_point_stands_where_it_is_drawn_and_says_its_row():
    points = frame(x_value=[0.25, 0.75], estimate=[0.5, 0.875], low=[0.25, np.nan], high=[0.75, np.nan])
    made, found = drawn(lambda ax: plot(ax, points, "x_value", "estimate", marker="o"))
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


def test_an_axis_may_have_another_unit():
    points = frame(parameters=[11.184e6, 6.968e6], estimate=[0.8, 0.9])
    made, found = drawn(lambda ax: plot(ax, points, "parameters", "estimate", per=1e6, marker="o"))
    assert [mark.arch for mark in found] == ["resnet18", "densenet121"]
    assert "Parameters 11.18 million" in found[0].text
    assert made.axes[0].lines[0].get_xdata().tolist() == [11.184, 6.968]


def test_two_panels_with_the_same_numbers_say_each_their_own():
    made = Figure(figsize=(4, 3), layout="constrained")
    axes = made.subplots(1, 2)
    for ax, task in zip(axes, ("edema", "atelectasis"), strict=True):
        plot(ax, frame(x_value=[0.0, 1.0], estimate=[0.0, 1.0], task=task), "x_value", "estimate", marker="o")
    style.data_uri(made)
    assert [mark.text.splitlines()[0] for mark in marks(made)] == [
        *("ResNet18, Edema", "DenseNet121, Edema", "ResNet18, Atelectasis", "DenseNet121, Atelectasis"),
    ]


def test_what_no_row_stands_behind_says_nothing():
    def draw(ax):
        ax.plot([0.5, 0.6, 0.55], [1.0, 0.0, 0.5], "o")
        ax.axhline(0.5)

    assert drawn(draw)[1] == []


def test_points_out_of_sight_and_undefined_ones_say_nothing():
    points = pd.concat([frame(x_value=[1.0, 5.0], estimate=[0.5, 0.6]), frame(x_value=[1.5, np.nan], estimate=np.nan)])

    def draw(ax):
        plot(ax, points, "x_value", "estimate", marker="o")
        ax.set_xlim(0, 2)

    assert [mark.arch for mark in drawn(draw)[1]] == ["resnet18"]


def test_a_curve_answers_at_some_places():
    x = np.linspace(0, 1, 500)
    points = pd.DataFrame({"arch": "resnet18", "false_positive_rate": x, "estimate": np.sqrt(x)})
    _, found = drawn(lambda ax: plot(ax, points, "false_positive_rate", "estimate"))
    assert len(found) == CURVE
    assert found[0].x < found[-1].x


def test_weights_depth_seed_and_tests_are_said():
    points = frame(estimate=[0.5, 0.6], y=[0.0, 1.0], pretrained=[True, False], truncate=[0, 2], seed=[3, 4])
    points["task"] = ["mean", "pleural_effusion"]
    points["p_holm"], points["significant"] = [0.012345, np.nan], [True, False]
    _, found = drawn(lambda ax: plot(ax, points, "estimate", "y", marker="o"))
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
    assert {mark.text.splitlines()[0] for mark in marks(made)} == {
        *("a, pretrained, seed 0", "a, from scratch, seed 0", "b, pretrained, seed 0", "b, from scratch, seed 0"),
    }
    boosts = rows[rows["pretrained"]].assign(estimate=[0.1, 0.3], p_holm=0.5, cell_pretrained="a")
    points = boost.table(boosts)
    made = boost.figure(boosts, points)
    style.data_uri(made)
    assert [mark.arch for mark in marks(made)] == ["a", "b"]
