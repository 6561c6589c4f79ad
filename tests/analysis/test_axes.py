"""Axes of a sweep: names, what is compared with what, and what is refused."""

import shlex

import numpy as np
import pandas as pd
import pytest

from analysis.axes import AXES, levels, suffix, variants
from analysis.evaluation import MEAN
from analysis.questions.along import ALL, along
from analysis.report import main
from analysis.settings import Settings
from tests.analysis.conftest import make_predictions
from tests.analysis.synthetic import make_cells

DEFAULTS = {axis.column: axis.default for axis in AXES}
LINEAR, FEWER = {"adapt": "linear"}, {"data.fraction": "0.1"}


def params(changes):
    return {key: changes.get(axis.column, axis.default) for axis in AXES for key in axis.keys if axis.default}


@pytest.fixture
def sweep(store):
    """Two architectures with all and a tenth of the data, pretrained ones also with a frozen body."""
    for i, arch in enumerate(("resnet18", "densenet121")):
        for pretrained in (True, False):
            for changes in ({}, FEWER, LINEAR, LINEAR | FEWER):
                if "adapt" in changes and not pretrained:
                    continue
                skill = 1 + 0.4 * pretrained - 0.5 * ("data.fraction" in changes) - 0.2 * ("adapt" in changes)
                name = f"{arch}-{pretrained}{suffix(changes)}"
                store.add(
                    arch, pretrained, params=params(changes), frame=make_predictions(len(changes) + 7 * i, skill=skill),
                    tags={"cell": name, "data_fingerprint": f"used{len(changes)}", "data_whole": "one"},
                )  # fmt: skip
    return store


def report(store, out, *words):
    return main([*store.words, f"out={out}", "resamples=100", "permutations=100", *words])


def table(out, name):
    return pd.read_csv(out / "tables" / f"{name}.csv", keep_default_na=False, na_values=["nan"])


def test_names_are_as_they_were_where_nothing_is_varied():
    assert suffix({}) == suffix(DEFAULTS) == suffix(DEFAULTS | {"image_size": "320"}, "paper") == ""
    assert suffix({"image_size": "224"}, "a protocol of one's own") == ""
    assert suffix({"image_size": "224", "data.patients": "100", "adapt": "last:2"}, "paper") == "-last-2-p100-224px"
    assert suffix({"data_uncertain": "u-ignore, edema: u-ones"}) == "-u-ignore-edema-u-ones"


def test_every_axis_can_be_chosen_by_its_key():
    assert {axis.name for axis in AXES} <= set(vars(Settings()))
    assert set(Settings(adapt="linear", in_chans="1").filters()) == {"adapt", "arch.in_chans"}


def test_the_default_comes_first_and_numbers_by_size():
    cells = pd.DataFrame([DEFAULTS | {"data.fraction": value} for value in ("0.1", "1.0", "0.01", "0.1")])
    ((axis, found),) = levels(cells).items()
    assert (axis.name, found) == ("data_fraction", ["1.0", "0.01", "0.1"])
    assert variants(cells, {axis: found}) == ["data_fraction=0.1", "", "data_fraction=0.01", "data_fraction=0.1"]
    cells["data.fraction"] = ["0.1", "0.01", "0.1", "0.1"]
    assert next(iter(levels(cells).values())) == ["0.1", "0.01"]


def test_networks_are_compared_along_each_axis_and_with_themselves_alone(sweep, tmp_path):
    assert report(sweep, tmp_path / "r") == 0
    auroc = table(tmp_path / "r", "auroc")
    assert len(auroc) == 12 * 6
    means = auroc[auroc["task"] == MEAN].set_index("cell")["estimate"]
    axes = table(tmp_path / "r", "axes")
    axes = axes[axes["task"] == MEAN]
    pooled, axes = axes[axes["arch"] == ALL], axes[axes["arch"] != ALL]
    networks = axes[axes["subset"] != "boost"]
    assert len(networks) == 2 * (2 + 1) + 2 * 2  # fewer data: full and linear, scratch; linear: all and fewer
    for row in networks.to_dict("records"):
        assert row["estimate"] == pytest.approx(means[row["cell"]] - means[row["cell_against"]], abs=1e-12)
        assert row["cell_against"] == row["cell"].replace("-f0.1" if row["axis"] == "data_fraction" else "-linear", "")
    boosts = axes[axes["subset"] == "boost"]
    assert boosts["axis"].unique().tolist() == ["data_fraction"]
    for row in boosts.to_dict("records"):
        arch = row["arch"]
        gain = [means[f"{arch}-True{end}"] - means[f"{arch}-False{end}"] for end in ("-f0.1", "")]
        assert row["estimate"] == pytest.approx(gain[0] - gain[1], abs=1e-12)
    first = pooled[(pooled["subset"] == "pretrained") & (pooled["axis"] == "adapt") & (pooled["elsewhere"] == "")]
    same = networks[(networks["axis"] == "adapt") & (networks["elsewhere"] == "")]
    assert first["estimate"].tolist() == pytest.approx([same["estimate"].mean()])
    page = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert "Along the axes" in page
    assert "adapt=linear, data_fraction=0.1" in page


def test_the_rest_of_the_report_is_about_the_first_levels(sweep, tmp_path):
    assert report(sweep, tmp_path / "r") == 0
    assert len(table(tmp_path / "r", "boost")) == 2 * 6
    points = pd.read_csv(tmp_path / "r" / "figures" / "auroc.csv")
    assert set(points["cell"]) == {f"{arch}-{side}" for arch in ("resnet18", "densenet121") for side in (True, False)}
    assert report(sweep, tmp_path / "s", "adapt=linear", "data_fraction=0.1") == 0
    assert set(table(tmp_path / "s", "auroc")["cell"]) == {"resnet18-True-linear-f0.1", "densenet121-True-linear-f0.1"}
    assert table(tmp_path / "s", "axes").empty


def test_cells_without_a_common_first_level_are_refused_with_what_to_type(store, tmp_path, capsys):
    for arch, changes in (("resnet18", LINEAR), ("resnet34", FEWER)):
        store.add(arch, params=params(changes))
    assert report(store, tmp_path / "r") == 1
    assert "adapt: full, linear; data_fraction: 1.0, 0.1" in capsys.readouterr().err
    assert report(store, tmp_path / "r", "adapt=linear") == 0


def test_runs_that_differ_in_what_is_no_axis_are_refused_with_an_advice_that_works(store, tmp_path, capsys):
    store.add(params={"trainer.precision": "fp32"})
    store.add(params={"trainer.precision": "bf16"}, tags={"cell": "other"}, frame=make_predictions(1))
    assert report(store, tmp_path / "r") == 1
    error = capsys.readouterr().err
    assert "they differ in trainer.precision fp32 and bf16" in error or "trainer.precision bf16 and fp32" in error
    (word,) = shlex.split(error.partition("choose one with ")[2].partition(", or delete")[0])
    assert word.startswith('where=params.`trainer.precision` = "')
    assert report(store, tmp_path / "r", word) == 0


def test_other_data_is_refused_although_its_share_is_an_axis(sweep, tmp_path, capsys):
    sweep.add("resnet34", params=params(FEWER), tags={"data_whole": "two"})
    assert report(sweep, tmp_path / "r", "allow_missing=true") == 1
    assert "differ in data_fingerprint must not be pooled (one: 12 cells; two: 1 cells)" in capsys.readouterr().err


def test_a_difference_that_there_is_not_is_covered(rng):
    """Of networks that differ by the test set's noise alone, 5 % of the intervals leave 0 out."""
    missed, total = 0, 0
    for _ in range(40):
        cells, replicates = make_cells(6, seeds=(0, 1), rng=rng, noise=0.01)
        replicates.estimates[:] = 0.8 + 0.01 * rng.normal(size=replicates.estimates.shape)
        replicates.resampled[:] = replicates.estimates[..., None] + 0.01 * rng.normal(size=replicates.resampled.shape)
        cells = cells.assign(**DEFAULTS)
        cells["adapt"] = ["linear" if seed else "full" for seed in cells["seed"]]
        cells["seed"] = 0
        made = along(cells, replicates, levels(cells), level=0.95, interval="percentile")
        rows = made[(made["subset"] != "boost") & (made["task"] == MEAN) & (made["arch"] != ALL)]
        missed += int(((rows["low"] > 0) | (rows["high"] < 0)).sum())
        total += len(rows)
    assert total == 480
    assert abs(missed / total - 0.05) < 3 * np.sqrt(0.05 * 0.95 / total)
