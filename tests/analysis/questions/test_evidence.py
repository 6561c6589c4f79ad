import numpy as np
import pandas as pd
import pytest

from analysis.evaluation import Replicates
from analysis.questions.associations import CORRELATION_COLUMNS, correlation_table
from analysis.questions.boosts import POOLED_COLUMNS, pooled_table
from analysis.questions.claims import read_claims
from analysis.questions.evidence import COLUMNS, gather
from analysis.questions.family import COLUMNS as FAMILY_COLUMNS
from analysis.questions.family import family_table
from analysis.questions.truncation import FACTOR_COLUMNS, factors_table
from analysis.questions.verdicts import barriers, verdicts_table
from analysis.reference import figure1, paper_era


@pytest.fixture
def tables():
    """A made-up sweep of all 16 with one truncated network each, through every table."""
    rng = np.random.default_rng(0)
    points, rows, y = figure1().to_dict("records"), [], []
    for point in points:
        for pretrained, truncate in ((True, 0), (False, 0), (True, 1)):
            rows.append(
                {
                    "cell": f"{point['arch']}-{pretrained}-{truncate}",
                    "arch": point["arch"],
                    "family": point["family"],
                    "pretrained": pretrained,
                    "truncate": truncate,
                    "seed": 0,
                    "weights": paper_era(point["arch"]) if pretrained else "none",
                    "parameters": point["parameters"] / (5 if truncate else 1),
                    "protocol": "paper",
                }
            )
            y.append(0.80 + 0.01 * np.log10(point["parameters"]) + 0.03 * pretrained + 0.002 * rng.normal())
    cells, means = pd.DataFrame(rows), np.array(y)[:, None]
    noise = rng.normal(0, 0.001, size=(len(rows), 1, 300)) + rng.normal(0, 0.01, size=300)
    replicates = Replicates(
        ("mean",), means, means[:, :, None] + noise, np.array([500]), np.array([np.nan]), "study", 500
    )
    shared = {"level": 0.95}
    return cells, {
        "correlations": correlation_table(cells, replicates, n_permutations=99, rng=rng, **shared),
        "boost_pooled": pooled_table(cells, replicates, **shared),
        "family": family_table(cells, replicates, n_permutations=99, rng=rng, **shared),
        "truncation_factors": factors_table(cells, replicates, margin=0.01, **shared),
    }


def test_every_claim_finds_its_statistic(tables):
    cells, made = tables
    statistics = gather(made)
    assert statistics.columns.tolist() == COLUMNS
    claims = read_claims()
    there = set(zip(statistics["statistic"], statistics["subset"], strict=True))
    assert {(claim.statistic, claim.subset) for claim in claims.claims} <= there
    assert not statistics.duplicated(["statistic", "subset"]).any()
    verdicts = verdicts_table(claims, statistics, barriers=barriers(cells, claims.requires)).set_index("claim")
    assert not verdicts["reason"].str.startswith("not measured").any()
    assert verdicts.loc["pretraining_helps", "verdict"] == "reproduced"
    assert verdicts.loc["truncation_is_free", "estimate"] == pytest.approx(5.0)
    assert verdicts.loc["pretraining_helps", "n"] == 16


def test_the_interval_carries_the_architectures(tables):
    _, made = tables
    statistics = gather(made).set_index(["statistic", "subset"])
    pooled = made["boost_pooled"]
    wide = pooled[(pooled["statistic"] == "mean boost") & (pooled["architectures"] == "a sample of families")].iloc[0]
    assert statistics.loc[("mean boost", "paired"), "low"] == wide["low"]
    family = made["family"].set_index(["statistic", "subset"])
    assert (
        statistics.loc[("family_minus_size", "scratch"), "high"] == family.loc[("family_minus_size", "scratch"), "high"]
    )
    rho = made["correlations"].set_index(["interval", "x", "y", "subset", "method"])
    record = rho.loc[("architectures, alike within families", "parameters", "auroc", "scratch", "spearman")]
    row = statistics.loc[("spearman(parameters, auroc)", "scratch")]
    assert (row["low"], row["n_effective"]) == (record["low"], record["n_effective"])


def test_what_is_known_of_the_noise_goes_along(tables):
    _, made = tables
    known = made["correlations"].assign(reliability=np.where(made["correlations"]["subset"] == "scratch", 0.7, 0.9))
    statistics = gather(made | {"correlations": known}).set_index(["statistic", "subset"])["reliability"]
    assert statistics["family_minus_size", "scratch"] == statistics["spearman(parameters, auroc)", "scratch"] == 0.7
    assert statistics["family_minus_size", "pretrained"] == 0.9
    assert np.isnan(statistics["mean boost", "paired"])


def test_empty_tables_give_no_statistics_and_every_verdict_says_so():
    columns = {"correlations": CORRELATION_COLUMNS, "boost_pooled": POOLED_COLUMNS, "family": FAMILY_COLUMNS}
    columns |= {"truncation_factors": FACTOR_COLUMNS}
    empty = gather({name: pd.DataFrame(columns=these) for name, these in columns.items()})
    assert empty.columns.tolist() == COLUMNS
    assert verdicts_table(read_claims(), empty)["reason"].str.startswith("not measured").all()
