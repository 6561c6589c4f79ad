from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.evaluation import Replicates
from analysis.questions.associations import (
    ATTENUATED,
    CORRELATION_COLUMNS,
    COVERS,
    FAMILIES,
    POINTS,
    RELIABLE,
    correlation_statistics,
    correlation_table,
    correlations,
    of_record,
)
from analysis.questions.claims import read_claims
from analysis.questions.scatter import POINT_COLUMNS, Scatter, collect, points_table
from analysis.questions.seeds import group_seeds
from analysis.reference import figure1, paper_era, top1
from analysis.sections.correlations import display
from analysis.statistics.correlation import METHODS, closed_form, correlate, leave_one_out
from analysis.statistics.families import codes, effective_number

CONTRACT = ["x", "y", "subset", "method", "estimate", "low", "high", "p_value", "n"]
ARCHS = figure1().set_index("arch")
SIX = ["resnet18", "resnet34", "resnet50", "densenet121", "efficientnet_b0", "mnasnet_100"]


def make_cells(*cells, **columns):
    rows = [
        {
            "arch": arch,
            "family": ARCHS["family"].get(arch, "Other"),
            "pretrained": pretrained,
            "truncate": 0,
            "seed": seed,
            "weights": paper_era(arch) or f"{arch}.own" if pretrained else "none",
            "parameters": float(ARCHS["parameters"].get(arch, 1e6)),
            "weights_standin": False,
        }
        for arch, pretrained, seed in cells
    ]
    return pd.DataFrame(rows).assign(**columns)


def make_replicates(m, rng, b=200):
    estimates = np.round(0.8 + 0.05 * rng.random((m, 3)), 4)
    return Replicates(
        tasks=("x", "y", "mean"),
        estimates=estimates,
        resampled=estimates[:, :, None] + rng.normal(0, 0.003, size=(m, 3, b)),
        n=np.array([90, 80, 95]),
        n_positive=np.array([30, 20, np.nan]),
        unit="study",
        n_units=100,
    )


def sweep(archs=SIX, seeds=(0,)):
    return make_cells(*[(arch, side, seed) for arch in archs for side in (True, False) for seed in seeds])


def grouped(cells, replicates):
    """The seeds of each network together."""
    cells = cells.assign(cell=[f"cell{i}" for i in range(len(cells))])
    return group_seeds(cells, replicates, rng=np.random.default_rng(1))


def table_of(cells, replicates, **kwargs):
    settings = {"level": 0.95, "n_permutations": 99, "rng": np.random.default_rng(0)} | kwargs
    return correlation_table(cells, replicates, **settings)


def cloud_of(cells, replicates, x, subset, y="auroc"):
    return next(c for c in collect(cells, replicates) if (c.x_name, c.y_name, c.subset) == (x, y, subset))


def test_columns_rows_and_order(rng):
    cells = sweep()
    table = table_of(cells, make_replicates(len(cells), rng))
    assert table.columns.tolist() == CORRELATION_COLUMNS
    assert table.columns[: len(CONTRACT)].tolist() == CONTRACT
    assert len(table) == 5 * 3 * 2
    clouds = table[["x", "y", "subset"]].drop_duplicates().to_numpy().tolist()
    assert clouds == [
        ["imagenet_top1", "auroc", "pretrained"],
        ["imagenet_top1", "auroc", "scratch"],
        ["parameters", "auroc", "pretrained"],
        ["parameters", "auroc", "scratch"],
        ["parameters", "boost", "paired"],
    ]
    assert table["interval"].tolist() == [FAMILIES, POINTS] * 15
    assert set(table["method"]) == set(METHODS)
    assert (table["n"] == 6).all()
    scales = table.groupby("x")["x_scale"].unique()
    assert (scales["imagenet_top1"].tolist(), scales["parameters"].tolist()) == (["linear"], ["log10"])


def test_every_number_is_that_of_the_arrays(rng):
    cells = sweep()
    replicates = make_replicates(len(cells), rng)
    table = table_of(cells, replicates).set_index(["x", "y", "subset", "method", "interval"])
    mean = replicates.estimates[:, 2]
    x = np.array([top1(paper_era(arch)) for arch in SIX])
    size = np.log10([ARCHS["parameters"][arch] for arch in SIX])
    for method in METHODS:
        for first, second, subset, y in (
            (x, "imagenet_top1", "pretrained", mean[::2]),
            (x, "imagenet_top1", "scratch", mean[1::2]),
            (size, "parameters", "scratch", mean[1::2]),
        ):
            row = table.loc[(second, "auroc", subset, method, FAMILIES)]
            assert row["estimate"] == pytest.approx(correlate(first, y, method).item(), abs=1e-12)
            others = leave_one_out(first, y, method)
            assert (row["loo_low"], row["loo_high"]) == (others.min(), others.max())
            worth = effective_number(first, y, codes(ARCHS.loc[SIX, "family"]), ranks=method != "pearson")
            assert row["n_effective"] == worth
            expected = closed_form(row["estimate"], worth, method, 0.95)
            np.testing.assert_array_equal(row[["low", "high", "p_value"]].to_numpy(dtype=float), expected)
        boost = table.loc[("parameters", "boost", "paired", method, POINTS)]
        assert boost["estimate"] == pytest.approx(correlate(size, mean[::2] - mean[1::2], method).item(), abs=1e-12)
    points = table.xs(POINTS, level="interval")
    assert points["p_value"].between(1 / 720, 1).all()
    assert (points["n_permutations"] == 720).all()
    assert (points["n_resamples"] == 10_000).all()
    assert (points["n_effective"] == 6).all()
    assert (table.xs(FAMILIES, level="interval")["n_resamples"] == 0).all()


def test_seeds_are_one_point_an_architecture(rng):
    cells = sweep(seeds=(0, 1, 2)).drop(index=4).reset_index(drop=True)  # resnet18 has two scratch seeds
    replicates = make_replicates(len(cells), rng)
    groups, means = grouped(cells, replicates)
    cloud = cloud_of(groups, means, "parameters", "scratch")
    assert cloud.archs == tuple(SIX)
    assert cloud.n_seeds.tolist() == [2, 3, 3, 3, 3, 3]
    rows = cells[(cells["arch"] == "resnet18") & ~cells["pretrained"]].index
    assert cloud.y[0] == pytest.approx(replicates.estimates[rows, 2].mean())
    row = groups.index[(groups["arch"] == "resnet18") & ~groups["pretrained"].astype(bool)][0]
    np.testing.assert_array_equal(cloud.y_resampled[0], means.resampled[row, 2])
    table = table_of(groups, means)
    assert set(table.loc[table["subset"] == "scratch", "n_runs"]) == {17}
    assert set(table.loc[table["subset"] == "paired", "n_runs"]) == {17}  # as many as the side with fewer
    assert (table["n"] == 6).all()
    with pytest.raises(AnalysisError, match="resnet18 is there more than once; group its seeds first"):
        collect(cells, replicates)


def test_a_boost_is_paired_in_its_resamples(rng):
    cells = sweep()
    replicates = make_replicates(len(cells), rng)
    replicates.resampled[1::2] = replicates.resampled[::2] - 0.01
    cloud = cloud_of(cells, replicates, "parameters", "paired", "boost")
    np.testing.assert_allclose(cloud.y_resampled, 0.01, atol=1e-12)


def test_order_of_the_cells_and_truncated_ones_change_nothing(rng):
    cells = sweep()
    replicates = make_replicates(len(cells), rng)
    order = rng.permutation(len(cells))
    cut = cells.iloc[[0]].assign(truncate=1)
    mixed = pd.concat([cells.iloc[order], cut])
    rows = [*order, 0]
    again = Replicates(
        replicates.tasks, replicates.estimates[rows], replicates.resampled[rows], *[None] * 2, "study", 100
    )
    again.estimates[-1] = 0.1  # the truncated one
    for one, other in zip(collect(cells, replicates), collect(mixed, again), strict=True):
        values = dict(zip(one.archs, one.y, strict=True))
        assert values == pytest.approx(dict(zip(other.archs, other.y, strict=True)))


def test_weights_without_a_published_top1_are_left_out_and_named(rng):
    cells = sweep()
    cells.loc[cells["arch"] == "resnet50", "weights_standin"] = True
    cells.loc[(cells["arch"] == "resnet34") & cells["pretrained"], "weights"] = "resnet34.own"
    replicates = make_replicates(len(cells), rng)
    table = table_of(cells, replicates)
    top = table[(table["x"] == "imagenet_top1") & (table["subset"] == "pretrained")].iloc[0]
    assert (top["n"], top["n_left_out"]) == (4, 2)
    assert top["left_out"] == "resnet34 (no published top-1); resnet50 (no published top-1)"
    assert (table.loc[table["x"] == "parameters", "n"] == 6).all()
    scratch = table[(table["x"] == "imagenet_top1") & (table["subset"] == "scratch")].iloc[0]
    assert scratch["n"] == 6
    assert "paper-era weights for resnet34, resnet50" in scratch["note"]


def test_a_scratch_cell_takes_the_top1_of_its_partners_weights(rng):
    cells = sweep()
    cells.loc[(cells["arch"] == "resnet50") & cells["pretrained"], "weights"] = "resnet50.a1_in1k"
    cloud = cloud_of(cells, make_replicates(len(cells), rng), "imagenet_top1", "scratch")
    x = dict(zip(cloud.archs, cloud.x, strict=True))
    assert x["resnet50"] == top1("resnet50.a1_in1k") != top1("resnet50.tv_in1k")
    assert x["resnet18"] == top1("resnet18.tv_in1k")
    alone = cells[~cells["pretrained"]]
    cloud = cloud_of(alone, make_replicates(len(alone), rng), "imagenet_top1", "scratch")
    assert dict(zip(cloud.archs, cloud.x, strict=True))["resnet50"] == top1("resnet50.tv_in1k")


def test_an_architecture_with_two_weight_tags_is_one_point(rng):
    other = make_cells(("resnet50", True, 0)).assign(weights="resnet50.a1_in1k")
    cells = pd.concat([other, sweep()], ignore_index=True)
    table = table_of(cells, make_replicates(len(cells), rng))
    row = table[table["subset"] == "pretrained"].iloc[0]
    assert row["n"] == 6
    assert row["left_out"] == "resnet50.a1_in1k (a second weight tag; resnet50.tv_in1k is the point)"
    assert table.loc[table["subset"] == "paired", "n"].tolist() == [6] * 6


@pytest.mark.parametrize("archs", [[], ["resnet18"], ["resnet18", "resnet50"]])
def test_too_few_architectures_are_nan_with_their_number(archs, rng):
    cells = sweep(["vgg16", *archs])
    cells["parameters"] = np.where(cells["arch"] == "vgg16", np.nan, cells["parameters"])
    table = table_of(cells, make_replicates(len(cells), rng))
    assert len(table) == 30
    assert table[["estimate", "low", "high", "p_value", "loo_low", "loo_high"]].isna().all(axis=None)
    assert (table["n"] == len(archs)).all()
    assert (table["n_defined"] == 0).all()
    points_table(collect(cells, make_replicates(len(cells), rng)), level=0.9)


def test_an_undefined_mean_is_left_out_and_named(rng):
    cells = sweep()
    replicates = make_replicates(len(cells), rng)
    replicates.estimates[0, 2] = np.nan
    table = table_of(cells, replicates)
    assert table.iloc[0]["left_out"] == "resnet18 (undefined auroc)"
    assert table.iloc[-1]["left_out"] == "resnet18 (undefined boost)"
    assert (table.iloc[0]["n"], table.iloc[-1]["n"]) == (5, 5)


def test_cells_without_what_is_needed_are_refused(rng):
    cells = sweep()
    with pytest.raises(AnalysisError, match="no column weights"):
        collect(cells.drop(columns="weights"), make_replicates(len(cells), rng))
    with pytest.raises(AnalysisError, match="12 cells cannot go with the replicates of 3 models"):
        collect(cells, make_replicates(3, rng))
    bare = cells.drop(columns=["parameters", "weights_standin"])
    assert table_of(bare, make_replicates(len(cells), rng)).groupby("x")["n"].first().tolist() == [6, 0]


def test_the_same_seed_gives_the_same_table(rng):
    cells = sweep()
    replicates = make_replicates(len(cells), rng)
    pd.testing.assert_frame_equal(table_of(cells, replicates), table_of(cells, replicates))
    other = table_of(cells, replicates, rng=np.random.default_rng(1))
    assert (other["low"] != table_of(cells, replicates)["low"]).any()


def test_the_points_of_the_figure_carry_the_test_sets_interval(rng):
    cells = sweep(seeds=(0, 1))
    replicates = make_replicates(len(cells), rng)
    groups, means = grouped(cells, replicates)
    points = points_table(collect(groups, means), level=0.9)
    assert points.columns.tolist() == POINT_COLUMNS
    assert len(points) == 30
    row = points.iloc[0]
    at = groups.index[(groups["arch"] == "resnet18") & groups["pretrained"].astype(bool)][0]
    expected = np.quantile(means.resampled[at, 2], [0.05, 0.95])
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected))
    assert (row["x_value"], row["n_seeds"], row["level"]) == (top1("resnet18.tv_in1k"), 2, 0.9)


def test_reliability_is_what_is_not_noise():
    """Variance 1 between architectures and 0.25 of noise: 0.8 of what is measured. Common shifts are no noise."""
    rng = np.random.default_rng(0)
    n, b = 400, 300
    y = rng.normal(size=n) + 0.5 * rng.normal(size=n)
    noisy = y[:, None] + 0.5 * rng.normal(size=(n, b)) + 50 * rng.normal(size=b)
    names = ("parameters", "auroc", "scratch"), tuple(map(str, range(n))), ("F",) * n, np.ones(n)
    cloud = Scatter(*names[0], *names[1:], y, noisy, np.full(n, 2))
    assert cloud.reliability == pytest.approx(0.8, abs=0.03)
    assert replace(cloud, y_resampled=y[:, None] + np.zeros((n, 9))).reliability == pytest.approx(1)
    assert replace(cloud, y_resampled=noisy + 9 * rng.normal(size=(n, b))).reliability == 0
    assert np.isnan(replace(cloud, y_resampled=None).reliability)


def test_training_noise_is_noise_and_one_seed_tells_nothing_of_it(rng):
    """Networks that differ by their training alone: three seeds show it, one hides it."""
    cells = sweep([*SIX, "resnet101", "efficientnet_b3"], seeds=(0, 1, 2))
    replicates = make_replicates(len(cells), rng)  # 0.05 wide and anew for every seed; the test set's noise is 0.003
    found = cloud_of(*grouped(cells, replicates), "parameters", "scratch").reliability
    assert found < 0.7
    first = cells["seed"] == 0
    alone = replace_rows(replicates, np.flatnonzero(first))
    assert np.isnan(cloud_of(cells[first].reset_index(drop=True), alone, "parameters", "scratch").reliability)
    one_short = np.flatnonzero(~((cells["arch"] == "resnet50") & (cells["seed"] > 0)))
    mixed = grouped(cells.iloc[one_short].reset_index(drop=True), replace_rows(replicates, one_short))
    assert np.isnan(cloud_of(*mixed, "parameters", "scratch").reliability)


def replace_rows(replicates, rows):
    return replace(replicates, estimates=replicates.estimates[rows], resampled=replicates.resampled[rows])


def test_the_interval_of_record_holds_within_families(rng):
    cells = sweep()
    table = table_of(cells, make_replicates(len(cells), rng))
    record = of_record(table)
    assert len(record) == 15
    assert set(record["interval"]) == {FAMILIES}
    assert (record["n_effective"] <= 6 + 1e-9).all()
    statistics = correlation_statistics(table)
    assert statistics["statistic"].iloc[0] == "spearman(imagenet_top1, auroc)"
    assert not statistics.duplicated(["statistic", "subset"]).any()


def test_a_coefficient_that_noise_may_have_pulled_towards_0_says_so():
    assert read_claims().requires.min_reliability == RELIABLE
    rng, x = np.random.default_rng(0), np.arange(1.0, 13)
    names = tuple(f"a{i}" for i in range(12))
    noise = {"clear": 0.01, "noisy": 9.0}
    clouds = [
        Scatter("parameters", "auroc", subset, names, names, x, x, x[:, None] + sd * rng.normal(size=(12, 200)),
                np.full(12, 2), note="made up")
        for subset, sd in noise.items()
    ]  # fmt: skip
    clouds.append(replace(clouds[0], subset="one seed", n_seeds=np.ones(12, dtype=np.int64)))
    made = correlations(clouds, level=0.95, n_resamples=9, n_permutations=9, rng=rng)
    assert made.loc[made["interval"] == FAMILIES, "note"].str.endswith(COVERS).all()
    notes = made[made["interval"] == POINTS].groupby("subset")["note"].unique()
    said = f"made up; {ATTENUATED}"
    assert [list(notes[name]) for name in ("clear", "noisy", "one seed")] == [["made up"], [said], [said]]
    shown = display(made).groupby("Cells")["Interval"].unique()
    assert not any(ATTENUATED in text for text in shown["clear"])
    assert all(text.endswith(f"; {ATTENUATED}") for text in shown["noisy"])


def test_what_is_shown_is_rounded_text(rng):
    cells = sweep(SIX[:2])
    shown = display(table_of(cells, make_replicates(len(cells), rng)))
    assert shown["Estimate"].unique().tolist() == ["n/a"]
    assert shown["n"].unique().tolist() == ["2"]
