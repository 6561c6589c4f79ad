import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures import labels
from analysis.figures.canvas import settle


@pytest.fixture
def panel():
    figure = Figure(figsize=(4, 3), layout="constrained")
    ax = figure.subplots()
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    settle(figure)
    return ax


def test_crowded_names_never_overlap_and_those_left_out_are_counted(panel, rng):
    x, y = 0.5 + 0.06 * rng.normal(size=(2, 30))
    names = labels.place(panel, x, y, [f"a rather long name {i}" for i in range(30)])
    panel.figure.draw_without_rendering()  # moves the names to their places
    boxes = [Text.get_window_extent(name) for name in names]
    assert 5 < len(names) < 30
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(panel.bbox.x0 <= box.x0 and box.x1 <= panel.bbox.x1 for box in boxes)
    (said,) = [text.get_text() for text in panel.texts if text not in names]
    assert said == f"{30 - len(names)} of 30 names left out for want of room"


def test_too_many_points_go_without_names(panel, rng):
    x, y = rng.random((2, labels.MOST + 1))
    assert labels.place(panel, x, y, ["n"] * x.size) == []
    assert len(panel.texts) == 1


def test_free_names_stand_beside_their_points_and_undefined_points_have_none(panel):
    names = labels.place(
        panel, [0.2, 0.8, np.nan], [0.2, 0.8, 0.5], ["left", "right", "nowhere"], colours=["r", "g", "b"]
    )
    assert [name.get_text() for name in names] == ["left", "right"]
    assert [name.get_color() for name in names] == ["r", "g"]
    assert all(np.hypot(*name.get_position()) < 30 for name in names)
    assert len(panel.texts) == 2
