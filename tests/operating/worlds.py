"""Synthetic studies with a known truth: what a test set of so many studies would show of 16 architectures."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from analysis.evaluation import Evaluation
from analysis.reference import figure1, paper_era
from analysis.statistics.families import codes

Floats = npt.NDArray[np.float64]
NETWORKS = figure1()
FAMILY = codes(NETWORKS["family"])
SIZE = np.log10(NETWORKS["parameters"].to_numpy(dtype=float))
TOP1 = NETWORKS["imagenet_top1"].to_numpy(dtype=float)
TASKS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
PREVALENCE = (0.35, 0.30, 0.15, 0.20, 0.30)
"""About those of CheXpert's valid.csv."""
FACTORS = {
    "DenseNet": (1.63, 5.34, 20.0),
    "ResNet": (4.01, 16.3, 70.8),
    "Inception": (2.0, 6.0),
    "EfficientNet": (1.40, 4.72, 13.0, 61.0),
    "MNASNet": (1.49, 6.57, 11.8, 66.4),
    "MobileNet": (1.49, 6.57, 11.8, 66.4),
}
"""Full over truncated parameters by depth: PROTOCOL's counts of one network a family; Inception, MobileNet assumed."""
ALIKE, KIN, SAME = 0.7, 0.1, 0.1
"""Correlation of two networks' scores within a class: of any two, more of one family, more of two seeds or depths."""


@dataclass(frozen=True)
class World:
    """What is true.

    Attributes:
        name: of the scenario.
        driver: `size` or `top1`: what AUROC follows.
        pretrained, scratch: Pearson correlation of the driver with the true AUROC.
        icc: share of the rest of the variance of AUROC that lies between families.
        sd: of the true AUROC between architectures.
        boost: mean of pretrained minus scratch, AUROC.
        seed_sd: of a training seed, in units of `sd`.
        loss: AUROC lost per halving of the parameters; None: nothing is truncated.
        patients: studies a patient.
    """

    name: str
    driver: str = "size"
    pretrained: float = 0.0
    scratch: float = 0.0
    icc: float = 0.0
    sd: float = 0.02
    boost: float = 0.0
    seed_sd: float = 0.3
    loss: float | None = None
    patients: int = 1


def standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / values.std())


def spearman(pearson: float) -> float:
    """Spearman's of a normal pair with this Pearson's. Source: Pearson, 1907."""
    return 6 / math.pi * math.asin(pearson / 2)


def truths(world: World) -> dict[tuple[str, str], float]:
    """The true value of every statistic of conf/claims.yaml, by statistic and subset; NaN where it has none."""
    shared = float(standard(SIZE) @ standard(TOP1)) / SIZE.size
    along = {"size": (1.0, shared), "top1": (shared, 1.0)}[world.driver]
    found = {}
    for subset, r in (("pretrained", world.pretrained), ("scratch", world.scratch)):
        found["spearman(parameters, auroc)", subset] = spearman(r * along[0])
        found["spearman(imagenet_top1, auroc)", subset] = spearman(r * along[1])
    rest = math.sqrt((1 - world.pretrained**2) * (1 - world.scratch**2)) / 2  # half of the rest is common to both
    spread = math.sqrt(2 - 2 * (world.pretrained * world.scratch + rest))
    found["spearman(parameters, boost)", "paired"] = spearman((world.pretrained - world.scratch) * along[0] / spread)
    found["mean boost", "paired"] = world.boost
    # with x as it is and families drawn anew: what a family adds, less what size explains beyond its families' means
    x, r = standard(SIZE if world.driver == "size" else TOP1), world.scratch
    n, sizes = SIZE.size, np.bincount(FAMILY)
    means = np.bincount(FAMILY, weights=x) / sizes
    inside = float(((x - means[FAMILY]) ** 2).sum()) / (n - sizes.size) * (n - 1) / n
    family = (1 - r**2) * world.icc
    by_size = r**2 * along[0] ** 2
    found["family_minus_size", "scratch"] = family + r**2 * (1 - inside) - by_size
    found["truncation factor", "pretrained"] = math.nan
    if world.loss is not None:
        found["truncation factor", "pretrained"] = 2 ** (0.01 / world.loss) if world.loss > 0 else math.inf
    return found


def draw(world: World, n: int, n_seeds: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Evaluation]:
    """One study: cells as `load_runs` gives them, and their predictions on n studies.

    With them the true AUROC: `expected` over seeds, and of the network as it was `trained`.
    """
    driver = standard(SIZE if world.driver == "size" else TOP1)
    common = residual(world.icc, rng)
    cells, aurocs, kin = [], [], []
    for pretrained, r, level in ((True, world.pretrained, world.boost), (False, world.scratch, 0.0)):
        rest = (common + residual(world.icc, rng)) / math.sqrt(2)
        whole = 0.80 + level + world.sd * (r * driver + math.sqrt(1 - r**2) * rest)
        for i, (arch, family, parameters) in enumerate(NETWORKS[["arch", "family", "parameters"]].to_numpy()):
            factors = (1.0, *(FACTORS[family] if pretrained and world.loss is not None else ()))
            for depth, factor in enumerate(factors):
                for seed in range(n_seeds):
                    cells.append(
                        {"arch": arch, "family": family, "pretrained": pretrained, "truncate": depth, "seed": seed}
                        | {"weights": paper_era(arch) if pretrained else "none", "parameters": parameters / factor}
                        | {"cell": f"{arch}-{pretrained}-{depth}-{seed}"}
                        | {"expected": whole[i] - (world.loss or 0.0) * math.log2(factor)}
                    )
                    aurocs.append(cells[-1]["expected"] + world.seed_sd * world.sd * rng.standard_normal())
                    kin.append((int(FAMILY[i]), 2 * i + pretrained))
    made = pd.DataFrame(cells).assign(trained=aurocs)
    return made, _predictions(np.array(aurocs), np.array(kin), n, world.patients, rng)


def residual(icc: float, rng: np.random.Generator) -> Floats:
    """What families and nothing else make of 16 AUROCs: standard normal, a share of the variance between families."""
    between, within = rng.standard_normal(FAMILY.max() + 1)[FAMILY], rng.standard_normal(FAMILY.size)
    return np.asarray(math.sqrt(icc) * between + math.sqrt(1 - icc) * within)


def _predictions(
    aurocs: Floats, kin: npt.NDArray[np.int64], n: int, per_patient: int, rng: np.random.Generator
) -> Evaluation:
    """Binormal scores: two classes one standard deviation wide, correlated between networks within a class."""
    patient = np.arange(n) // per_patient
    tasks, models = len(TASKS), len(aurocs)

    def noise(rows: int) -> Floats:
        """[rows, tasks, n] standard normal, half of it the patient's where one has several studies."""
        own = rng.standard_normal((rows, tasks, n))
        if per_patient == 1:
            return own
        return (own + rng.standard_normal((rows, tasks, patient[-1] + 1))[:, :, patient]) / math.sqrt(2)

    families, networks = (np.unique(column, return_inverse=True) for column in kin.T)
    shared = (
        math.sqrt(KIN) * noise(len(families[0]))[families[1]] + math.sqrt(SAME) * noise(len(networks[0]))[networks[1]]
    )
    scores = math.sqrt(ALIKE) * noise(1) + shared + math.sqrt(1 - ALIKE - KIN - SAME) * noise(models)
    latent = noise(1)[0]
    labels = (latent > -ndtri(np.array(PREVALENCE))[:, None]).astype(np.float64)
    distance = math.sqrt(2) * ndtri(np.clip(aurocs, 0.01, 0.99))
    keys = pd.DataFrame({"patient": patient.astype(str), "study": np.arange(n).astype(str)})
    return Evaluation(keys, TASKS, labels, scores + distance[:, None, None] * labels)
