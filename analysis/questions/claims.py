"""The paper's claims and the rules that decide them, as conf/claims.yaml holds them."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from analysis.errors import AnalysisError
from analysis.places import CONF

CLAIMS = CONF / "claims.yaml"
KINDS = ("above", "below", "within")
SCALES = ("correlation", "mean", "factor")
NOISE = ("guarded", "harmless")


@dataclass(frozen=True)
class Rule:
    """When an interval decides: `above`, `below` or `within` a bound, as conf/claims.yaml explains.

    Raises:
        AnalysisError: another kind, or a bound that is not finite or, of `within`, not above 0.
    """

    kind: str
    bound: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise AnalysisError(f"rule={self.kind} is not one of {', '.join(KINDS)}")
        if not math.isfinite(self.bound) or (self.kind == "within" and self.bound <= 0):
            raise AnalysisError(f"bound={self.bound} of rule {self.kind} must be a finite number (within: above 0)")


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        name, sentence, statistic, subset: what is claimed of what.
        rule, bound: when an interval decides; see `Rule`.
        scale: `correlation`, `mean` or `factor`: what a larger sample does to the interval.
        noise: `guarded` where noise alone could reproduce the claim, so that it takes `min_reliability`.
        unit: what there would have to be more of.
        paper: the figure that the paper prints, None where there is none.
    """

    name: str
    sentence: str
    statistic: str
    subset: str
    rule: str
    bound: float
    scale: str
    noise: str
    unit: str
    paper: float | None

    @property
    def test(self) -> Rule:
        """Its rule of decision."""
        return Rule(self.rule, float(self.bound))


@dataclass(frozen=True)
class Requires:
    """What a report must be before any of its intervals may decide; explained in conf/claims.yaml."""

    min_architectures: int
    min_reliability: float
    imagenet_weights: bool
    real_data: bool
    protocol_values: bool
    same: dict[str, list[Any]]


@dataclass(frozen=True)
class Claims:
    """The file of claims: the level of its intervals, what it requires, and the claims."""

    level: float
    requires: Requires
    claims: tuple[Claim, ...]


def read_claims(path: Path = CLAIMS) -> Claims:
    """The claims with their rules, as the file holds them.

    Raises:
        AnalysisError: the file cannot be read, or a rule in it is none.
    """
    try:
        raw: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise AnalysisError(f"the claims {path} cannot be read: {str(error).splitlines()[0]}") from error
    try:
        whole = _checked(raw, Claims, "the file")
        requires = Requires(**_checked(whole["requires"], Requires, "requires"))
        claims = tuple(_claim(each, f"claim {i + 1}") for i, each in enumerate(whole["claims"]))
        names = [claim.name for claim in claims]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise AnalysisError(f"claim {twice[0]} is there twice")
        if not 0 < float(whole["level"]) < 1:
            raise AnalysisError(f"level={whole['level']} must lie between 0 and 1")
    except (AnalysisError, TypeError) as error:
        raise AnalysisError(f"the claims {path} cannot be used: {error}") from error
    return Claims(float(whole["level"]), requires, claims)


def _claim(raw: Any, where: str) -> Claim:
    claim = Claim(**_checked(raw, Claim, where))
    for key, words in (("scale", SCALES), ("noise", NOISE)):
        if getattr(claim, key) not in words:
            raise AnalysisError(f"claim {claim.name}: {key}={getattr(claim, key)} is not one of {', '.join(words)}")
    _ = claim.test  # refuses a rule that is none
    return claim


def _checked(raw: Any, kind: type, where: str) -> dict[str, Any]:
    """The mapping, which must have exactly the fields of a dataclass; lists as tuples."""
    names = [field.name for field in fields(kind)]
    if not isinstance(raw, dict) or set(raw) != set(names):
        raise AnalysisError(f"{where} must have exactly the keys {', '.join(names)}")
    return {str(name): tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
