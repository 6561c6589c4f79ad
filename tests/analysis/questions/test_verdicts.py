import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.questions.claims import CLAIMS, Claims, Requires, Rule, read_claims
from analysis.questions.power import with_needed
from analysis.questions.verdicts import (
    VERDICT_COLUMNS,
    barriers,
    decide,
    decisions,
    verdicts_dict,
    verdicts_table,
)
from analysis.reference import figure1, paper_era
from analysis.sections import verdicts as section
from analysis.store.io import COLUMNS
from analysis.tables import shown as text_of

ABOVE, BELOW, WITHIN = Rule("above", 0.0), Rule("below", 0.0), Rule("within", 0.5)
NAN = float("nan")


@pytest.mark.parametrize(
    ("rule", "estimate", "low", "high", "verdict"),
    [
        (ABOVE, 0.5, 0.1, 0.8, "reproduced"),
        (ABOVE, 0.3, -0.1, 0.6, "undecided"),
        (ABOVE, 0.3, 0.0, 0.6, "undecided"),  # touches the bound
        (ABOVE, -0.5, -0.8, -0.1, "contradicted"),
        (ABOVE, -0.5, -0.8, 0.0, "undecided"),
        (BELOW, -0.5, -0.8, -0.1, "reproduced"),
        (BELOW, -0.3, -0.6, 0.1, "undecided"),
        (BELOW, 0.5, 0.1, 0.8, "contradicted"),
        (Rule("above", 2.0), 3.2, 2.5, 4.0, "reproduced"),
        (Rule("above", 2.0), 3.2, 1.9, 4.0, "undecided"),
        (WITHIN, 0.0, -0.49, 0.49, "reproduced"),
        (WITHIN, 0.3, 0.1, 0.45, "reproduced"),  # not 0, but small
        (WITHIN, 0.1, -0.4, 0.56, "undecided"),
        (WITHIN, 0.0, -0.5, 0.4, "undecided"),
        (WITHIN, 0.4, 0.1, 0.6, "undecided"),  # excludes 0, but the estimate is within the bound
        (WITHIN, 0.6, -0.1, 0.8, "undecided"),  # large, but 0 is not excluded
        (WITHIN, 0.6, 0.1, 0.8, "undecided"),  # excludes 0 and may be small
        (WITHIN, 0.7, 0.51, 0.8, "contradicted"),
        (WITHIN, -0.6, -0.8, -0.51, "contradicted"),
        (WITHIN, 0.6, 0.5, 0.8, "undecided"),  # touches the bound
        (WITHIN, 0.6, 0.1, 0.4, "undecided"),  # an interval beside its estimate decides nothing
        (ABOVE, 0.5, 0.6, 0.8, "undecided"),
        (ABOVE, NAN, 0.1, 0.8, "undecided"),
        (ABOVE, 0.5, NAN, 0.8, "undecided"),
        (WITHIN, 0.0, -0.2, NAN, "undecided"),
        (BELOW, NAN, NAN, NAN, "undecided"),
    ],
)
def test_decisions(rule, estimate, low, high, verdict):
    assert decide(rule, estimate, low, high) == verdict
    mirror = {"above": "below", "below": "above", "within": "within"}[rule.kind]
    bound = rule.bound if mirror == "within" else -rule.bound
    assert decide(Rule(mirror, bound), -estimate, -high, -low) == verdict


def test_never_both_and_arrays_are_scalars(rng):
    estimate = rng.uniform(-1, 1, size=5000)
    low, high = estimate - rng.uniform(-0.1, 0.8, size=5000), estimate + rng.uniform(-0.1, 0.8, size=5000)
    for rule in (ABOVE, BELOW, WITHIN):
        yes, no = decisions(rule, estimate, low, high)
        assert not (yes & no).any()
        assert yes.any()
        assert no.any()
        words = [decide(rule, *values) for values in zip(estimate[:50], low[:50], high[:50], strict=True)]
        assert [word == "reproduced" for word in words] == yes[:50].tolist()
        assert [word == "contradicted" for word in words] == no[:50].tolist()


@pytest.mark.parametrize(("kind", "bound"), [("over", 0.0), ("above", NAN), ("within", 0.0), ("within", -0.5)])
def test_a_rule_that_is_none_is_refused(kind, bound):
    with pytest.raises(AnalysisError, match="must be a finite number|is not one of"):
        Rule(kind, bound)


def test_the_claims_file_holds_the_papers_claims():
    claims = read_claims()
    assert claims.level == 0.95
    assert claims.requires == Requires(10, 0.8, True, True, True, claims.requires.same)
    assert set(claims.requires.same) < {column.name for column in COLUMNS}  # each is read of every run
    assert {claim.name for claim in claims.claims if claim.noise == "guarded"} == {
        *("top1_does_not_predict_pretrained", "top1_does_not_predict_scratch", "family_over_size_scratch")
    }
    assert len(claims.claims) == 8
    by_name = {claim.name: claim for claim in claims.claims}
    assert by_name["top1_does_not_predict_pretrained"].test == WITHIN
    assert by_name["small_networks_gain_more"].test == BELOW
    assert by_name["pretraining_helps"].paper is None
    assert all(claim.sentence.endswith(".") for claim in claims.claims)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rule: within", "rule: inside", "rule=inside is not one of above, below, within"),
        ("level: 0.95", "level: 95", "level=95 must lie between 0 and 1"),
        ("    unit: architecture\n", "", "must have exactly the keys name, sentence"),
        ("  real_data: true", "  real_date: true", "requires must have exactly the keys min_architectures"),
        ("scale: mean", "scale: ratio", "scale=ratio is not one of"),
        ("    noise: guarded", "    noise: some", "noise=some is not one of guarded, harmless"),
        ("name: top1_does_not_predict_scratch", "name: top1_does_not_predict_pretrained", "is there twice"),
        ("claims:", "claim:", "the file must have exactly the keys level, requires, claims"),
    ],
)
def test_a_broken_claims_file_is_refused(old, new, message, tmp_path):
    text = CLAIMS.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "claims.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(AnalysisError, match=message):
        read_claims(tmp_path / "claims.yaml")


def test_an_unreadable_claims_file_is_refused(tmp_path):
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_claims(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(AnalysisError, match="cannot be (read|used)"):
        read_claims(tmp_path / "broken.yaml")


def statistics_that_reproduce(claims: Claims, n=16):
    """Intervals by which every claim would be reproduced."""
    centre = {"above": 1.0, "below": -1.0, "within": 0.0}
    rows = []
    for claim in claims.claims:
        at = centre[claim.rule] * 0.4 + (claim.bound if claim.rule != "within" else 0.0)
        row = {"statistic": claim.statistic, "subset": claim.subset, "estimate": at, "low": at - 0.3, "high": at + 0.3}
        rows.append(row | {"n": n, "level": claims.level, "reliability": 0.9})
    return pd.DataFrame(rows)


def make_cells(n=16, **columns):
    archs = figure1()["arch"][:n].tolist()
    rows = [
        {"arch": a, "pretrained": side, "weights": paper_era(a) if side else "none"}
        for a in archs
        for side in (True, False)
    ]
    same = {column: str(allowed[0]) for column, allowed in read_claims().requires.same.items()}
    return pd.DataFrame(rows).assign(weights_standin=False, data_generated=False, **same).assign(**columns)


def test_every_claim_is_reproduced_by_intervals_that_say_so():
    claims = read_claims()
    table = verdicts_table(claims, statistics_that_reproduce(claims), barriers=barriers(make_cells(), claims.requires))
    assert table.columns.tolist() == VERDICT_COLUMNS
    assert table["verdict"].unique().tolist() == ["reproduced"]
    assert table["claim"].tolist() == [claim.name for claim in claims.claims]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (make_cells(weights_standin=True), "stand-ins"),
        (make_cells(data_generated=True), "generated"),
        (make_cells(n=9), "9 architectures, and a verdict takes 10"),
        (make_cells(protocol="quick"), "protocol=quick, and the claims are about paper"),
        (make_cells(data="csv"), "data=csv, and the claims are about chexpert"),
        (make_cells(adapt="linear"), "adapt=linear, and the claims are about full"),
        (make_cells(data_uncertain="u-ones"), "data_uncertain=u-ones, and the claims are about u-ignore"),
        (make_cells(**{"data.fraction": "0.1"}), "data.fraction=0.1, and the claims are about 1.0"),
        (make_cells(**{"evaluation.tasks": "edema"}), "evaluation.tasks=edema, and the claims are about atelectasis,"),
        (make_cells(protocol_values=json.dumps({"protocol.epochs": "1"})), r"protocol.epochs=1 \(file: 3\)"),
        (
            make_cells(protocol_values=json.dumps({"protocol.image.crop": "64", "protocol.lr": "1e-4"})),
            r"file: protocol.image.crop=64 \(file: 320\)",
        ),
        (make_cells(weights="resnet18.own"), "not published ImageNet weights: resnet18.own"),
    ],
)
def test_a_report_that_is_no_reproduction_decides_nothing(cells, reason):
    """Whatever the intervals say: the same ones that reproduce every claim above."""
    claims = read_claims()
    found = barriers(cells, claims.requires)
    table = verdicts_table(claims, statistics_that_reproduce(claims), barriers=found)
    assert table["verdict"].unique().tolist() == ["undecided"]
    assert table["reason"].str.contains(reason).all()
    assert table["estimate"].notna().all()  # still shown
    assert json.loads(json.dumps(verdicts_dict(table, found)))["barriers"] == found


def test_one_stand_in_among_many_is_enough():
    cells = make_cells()
    cells.loc[0, "weights_standin"] = True
    assert barriers(cells, read_claims().requires) == ["the pretrained weights of 1 cell are stand-ins"]
    cells.loc[0, "weights_standin"] = False
    assert barriers(cells, read_claims().requires) == []
    assert barriers(cells[["arch", "pretrained", "weights"]], read_claims().requires) == []


def test_what_every_real_run_of_the_papers_protocol_says_is_no_hindrance():
    """As `bench` records it: numbers and lists as Python writes them, keys that nothing reads changed."""
    values = {
        "protocol.epochs": "3",
        "protocol.lr": "0.0001",
        "protocol.betas": "[0.9, 0.999]",
        "protocol.lr_grid": "[1.0]",
    }
    values |= {"protocol.image.flip": "False", "protocol.micro_batch": "None", "protocol.weight_decay": "0.0"}
    assert barriers(make_cells(protocol_values=json.dumps(values)), read_claims().requires) == []


def test_what_was_not_measured_is_undecided_and_says_so():
    claims = read_claims()
    statistics = statistics_that_reproduce(claims)
    statistics.loc[0, ["estimate", "low", "high"]] = np.nan
    table = verdicts_table(claims, statistics.drop(index=7))
    assert table["verdict"].tolist() == ["undecided", *["reproduced"] * 6, "undecided"]
    assert table.loc[7, "reason"] == "not measured: truncation factor of pretrained cells"
    assert table.loc[0, "reason"].endswith("is undefined")
    assert table["n"].isna().tolist() == [False] * 7 + [True]
    nothing = verdicts_table(claims, statistics.iloc[:0])
    assert nothing["reason"].str.startswith("not measured").all()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("n", 9, "rests on 9 architectures, and a verdict takes 10"),
        ("level", 0.9, "the interval has level 0.9, and the rule was fixed for 0.95"),
        ("estimate", 9.0, "does not hold its own estimate"),
    ],
)
def test_an_interval_that_the_rule_is_not_for_decides_nothing(column, value, reason):
    claims = read_claims()
    table = verdicts_table(claims, statistics_that_reproduce(claims).assign(**{column: value}))
    assert table["verdict"].unique().tolist() == ["undecided"]
    assert table["reason"].str.contains(reason).all()


def test_a_small_test_set_makes_nothing_unrelated():
    """Its noise pulls every correlation towards 0: `within` needs architectures that the test set tells apart."""
    claims = read_claims()
    statistics = statistics_that_reproduce(claims)
    guarded = [claim.noise == "guarded" for claim in claims.claims]
    for reliability, expected in ((0.79, "undecided"), (0.81, "reproduced"), (np.nan, "undecided")):
        table = verdicts_table(claims, statistics.assign(reliability=reliability))
        assert set(table.loc[guarded, "verdict"]) == {expected}
        assert set(table.loc[np.logical_not(guarded), "verdict"]) == {"reproduced"}
    assert "reliability 0.79" in verdicts_table(claims, statistics.assign(reliability=0.79)).loc[0, "reason"]
    unknown = verdicts_table(claims, statistics.drop(columns="reliability")).loc[0, "reason"]
    assert "is not known: it takes two seeds or more of each network" in unknown


def test_a_unit_that_is_not_independent_decides_nothing_that_rests_on_resamples_of_the_test_set():
    claims, why = read_claims(), "unit=study takes studies for independent, and 5 of 9 patients have several"
    table = verdicts_table(claims, statistics_that_reproduce(claims), dependent=why)
    closed = table["claim"].isin(["size_predicts_pretrained", "size_predicts_scratch", "small_networks_gain_more"])
    assert set(table.loc[~closed, "reason"]) == {why}
    assert set(table.loc[~closed, "verdict"]) == {"undecided"}
    assert table.loc[~closed, "estimate"].notna().all()
    assert set(table.loc[closed, "verdict"]) == {"reproduced"}  # their intervals are over the architectures


def test_noise_contradicts_no_claim_and_hinders_no_contradiction():
    claims = read_claims()
    large = statistics_that_reproduce(claims).assign(estimate=0.7, low=0.55, high=0.8, reliability=np.nan)
    table = verdicts_table(claims, large)
    assert set(table.loc[table["rule"] == "within", "verdict"]) == {"contradicted"}


def test_broken_statistics_are_refused():
    claims = read_claims()
    statistics = statistics_that_reproduce(claims)
    with pytest.raises(AnalysisError, match="no column low"):
        verdicts_table(claims, statistics.drop(columns="low"))
    with pytest.raises(AnalysisError, match=r"statistic mean boost of paired cells is there twice"):
        verdicts_table(claims, pd.concat([statistics, statistics[statistics["statistic"] == "mean boost"]]))


def test_the_dictionary_is_json_and_undefined_is_null(tmp_path):
    claims = read_claims()
    table = with_needed(
        verdicts_table(claims, statistics_that_reproduce(claims).iloc[:3]), rng=np.random.default_rng(0)
    )
    text = json.dumps(verdicts_dict(table), allow_nan=False)
    Path(tmp_path / "verdicts.json").write_text(text, encoding="utf-8")
    made = json.loads(text)
    assert made["counts"] == {"reproduced": 3, "contradicted": 0, "undecided": 5}
    assert made["verdicts"][0]["n"] == 16
    assert made["verdicts"][7]["estimate"] is None
    assert made["verdicts"][7]["n"] is None


def test_what_is_shown_is_text():
    claims = read_claims()
    table = with_needed(verdicts_table(claims, statistics_that_reproduce(claims)), rng=np.random.default_rng(0))
    shown = text_of(table, section.COLUMNS)
    assert all(isinstance(value, str) for value in shown.to_numpy().ravel())
    assert shown["Would be decided by"].str.contains("architectures|networks of more families").all()
