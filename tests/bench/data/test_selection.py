import numpy as np
import pandas as pd
import pytest

from bench.config import compose_config
from bench.data.selection import keep, place, thin
from bench.errors import DataError


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    patients = np.repeat([f"patient{number:05d}" for number in range(400)], 2)
    return pd.DataFrame(
        {
            "path": [f"{row}.jpg" for row in range(800)],
            "patient": patients,
            "view": ["frontal", "lateral"] * 400,
            "ap_pa": [word for _ in range(400) for word in (rng.choice(["AP", "PA"]), None)],
            "sex": np.repeat(rng.choice(["Female", "Male", "Unknown"], 400), 2),
            "age": np.repeat(np.where(rng.random(400) < 0.1, np.nan, rng.integers(18, 90, 400)), 2),
        }
    )


def data(*overrides):
    return compose_config(["data=chexpert", "data.root=x", *overrides]).data


@pytest.mark.parametrize(
    ("key", "passes"),
    [
        ("views=frontal", lambda row: row.view == "frontal"),
        ("views=lateral", lambda row: row.view == "lateral"),
        ("views=ap", lambda row: row.ap_pa == "AP"),
        ("views=pa", lambda row: row.ap_pa == "PA"),
        ("sex=female", lambda row: row.sex == "Female"),
        ("sex=male", lambda row: row.sex == "Male"),
        ("age_min=40", lambda row: row.age >= 40),
        ("age_max=40", lambda row: row.age <= 40),
    ],
)
def test_a_filter_keeps_what_a_plain_loop_keeps_and_counts_the_rest(frame, key, passes):
    kept, dropped = keep(frame, data(f"data.{key}"), "train")
    rows = list(frame.itertuples())
    expected = [row.path for row in rows if passes(row)]
    assert list(kept["path"]) == expected
    assert 0 < len(expected) < len(frame)
    assert list(kept.index) == list(range(len(expected)))
    assert sum(one.images for one in dropped) == len(frame) - len(expected)
    lost = {row.patient for row in rows} - {row.patient for row in rows if passes(row)}
    assert sum(one.patients for one in dropped) == len(lost)
    assert {(one.filter, one.split) for one in dropped} == {(f"data.{key}", "train")}


def test_filters_follow_each_other_and_a_blank_age_is_counted_apart(frame):
    _, dropped = keep(frame, data("data.views=frontal", "data.age_min=30", "data.age_max=60"), "valid")
    blank = int(frame["age"][frame["view"] == "frontal"].isna().sum())
    assert [(one.filter, one.reason) for one in dropped] == [
        ("data.views=frontal", "not frontal"),
        ("data.age_min=30 data.age_max=60", "of unknown age"),
        ("data.age_min=30 data.age_max=60", "outside the range of age"),
    ]
    assert (dropped[0].images, dropped[0].patients) == (400, 0)
    assert (dropped[1].images, dropped[1].patients) == (blank, blank)
    assert blank > 0


def test_no_filter_leaves_nothing_out(frame):
    kept, dropped = keep(frame, data(), "train")
    pd.testing.assert_frame_equal(kept, frame)
    assert dropped == ()


def test_a_filter_that_leaves_nothing_is_refused_with_the_reason(frame):
    unknown = frame.assign(sex="Unknown")
    with pytest.raises(DataError, match="data.sex=female leaves no image of test: all 800 are not female, or unknown"):
        keep(unknown, data("data.sex=female"), "test")


def patients(frame, *overrides):
    return set(thin(frame, data(*overrides))[0]["patient"])


def test_shares_of_patients_lie_inside_each_other(frame):
    shares = [patients(frame, f"data.fraction={share}") for share in (0.01, 0.1, 0.5, 1.0)]
    assert shares[0] < shares[1] < shares[2] < shares[3]
    assert len(shares[1]) == pytest.approx(40, abs=15)
    assert len(shares[2]) == pytest.approx(200, abs=35)


def test_numbers_of_patients_are_exact_and_lie_inside_each_other_and_in_the_shares(frame):
    numbers = [patients(frame, f"data.patients={number}") for number in (1, 10, 100, 400)]
    assert [len(chosen) for chosen in numbers] == [1, 10, 100, 400]
    assert numbers[0] < numbers[1] < numbers[2] < numbers[3]
    tenth = patients(frame, "data.fraction=0.1")
    assert patients(frame, f"data.patients={len(tenth)}") == tenth


def test_a_share_takes_the_same_patients_whoever_else_is_there_in_any_order(frame):
    some = frame[frame["patient"].isin(sorted(set(frame["patient"]))[::3])].sample(frac=1, random_state=0)
    assert patients(some, "data.fraction=0.5") == patients(frame, "data.fraction=0.5") & set(some["patient"])


def test_whole_patients_are_left_out_and_counted(frame):
    kept, (dropped,) = thin(frame, data("data.patients=10"))
    assert len(kept) == 20
    assert (dropped.filter, dropped.split, dropped.images, dropped.patients) == ("data.patients=10", "train", 780, 390)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.patients=401"], "data.patients=401: there are 400 training patients"),
        (["data.patients=4", "data.fraction=0.5"], "both choose the training patients: give one of them"),
        (["data.fraction=0"], "data.fraction=0: there are 400 training patients, and 0 would be chosen"),
        (["data.fraction=1.5"], "data.fraction=1.5: a share is above 0 and at most 1"),
    ],
)
def test_what_cannot_be_chosen_is_refused(frame, overrides, message):
    with pytest.raises(DataError, match=message):
        thin(frame, data(*overrides))


def test_the_order_of_shares_is_not_the_order_of_the_validation_split():
    from bench.data.splits import is_validation

    names = [f"patient{number:05d}" for number in range(4000)]
    inside = [place(name) < 0.5 for name in names if is_validation(name, 0.5)]
    assert np.mean(inside) == pytest.approx(0.5, abs=0.05)
