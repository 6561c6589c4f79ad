"""The cheap part of `make operating`: the worlds in which a verdict went wrong before, a few times each."""

import math

import pytest

from tests.operating.verdicts import WORLDS, chunk, claims, holds

BY_NAME = {world.name: world for world in WORLDS}
MOST = 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
"""What 5 % may look like in 60 worlds."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_studies", "n_seeds"),
    [
        ("only families differ", 500, 3),
        ("only families differ, 3 studies a patient", 200, 1),
        ("the same, and families differ", 200, 3),
        ("top-1 predicts, rho = 0.7; 60 % training noise", 500, 1),
        ("truncation costs nothing", 200, 1),
        ("truncation costs the margin a halving", 500, 1),
    ],
)
def test_no_verdict_is_wrong_more_often_than_it_may_be(name, n_studies, n_seeds):
    rules, wrong = {claim.name: claim for claim in claims().claims}, {}
    for claim, verdict, at, _ in chunk(BY_NAME[name], n_studies, n_seeds, range(60)):
        if not math.isnan(at):
            true = holds(rules[claim].rule, rules[claim].bound, at)
            wrong.setdefault(claim, []).append(verdict == ("contradicted" if true else "reproduced"))
    assert len(wrong) >= 7
    assert {claim: sum(found) / 60 for claim, found in wrong.items() if sum(found) / 60 > MOST} == {}


@pytest.mark.slow
def test_a_claim_that_is_true_and_large_is_reproduced():
    rows = chunk(BY_NAME["size predicts, rho = 0.8; boost 0.017"], 500, 1, range(30))
    assert [verdict for claim, verdict, _, _ in rows if claim == "size_predicts_scratch"].count("reproduced") >= 18
