"""Cells and their replicates made up: what the tables over architectures take."""

import numpy as np
import pandas as pd

from analysis.evaluation import Replicates

ARCHS = (
    ("densenet121", "DenseNet", 6.968e6),
    ("densenet169", "DenseNet", 12.5e6),
    ("densenet201", "DenseNet", 18.1e6),
    ("resnet18", "ResNet", 11.184e6),
    ("resnet34", "ResNet", 21.3e6),
    ("resnet50", "ResNet", 23.5e6),
    ("resnet101", "ResNet", 42.5e6),
    ("inception_v3", "Inception", 21.8e6),
    ("inception_v4", "Inception", 41.2e6),
    ("mnasnet_100", "MNASNet", 3.12e6),
    ("efficientnet_b0", "EfficientNet", 4.025e6),
    ("efficientnet_b1", "EfficientNet", 6.5e6),
    ("efficientnet_b2", "EfficientNet", 7.7e6),
    ("efficientnet_b3", "EfficientNet", 10.7e6),
    ("mobilenetv2_100", "MobileNet", 2.24e6),
    ("mobilenetv3_large_100", "MobileNet", 4.2e6),
)
SHRINK = (1, 2, 6, 15, 40)


def make_cells(n_archs=4, arms=(True, False), depths=(0,), seeds=(0,), *, rng, b=200, noise=0.01):
    """A frame of cells in the dtype of `load_runs`, and replicates of two tasks and their mean."""
    rows, estimates, resampled = [], [], []
    shared = 0.01 * rng.normal(size=(2, b))
    for arch, family, parameters in ARCHS[:n_archs]:
        for depth in depths:
            for pretrained in arms:
                for seed in seeds:
                    mean = 0.86 - 0.02 * (not pretrained) - 0.01 * depth**2 + 0.004 * rng.normal(size=2)
                    draws = mean[:, None] + shared + noise * rng.normal(size=(2, b))
                    estimates.append([*mean, mean.mean()])
                    resampled.append([*draws, draws.mean(axis=0)])
                    row = {"cell": f"{arch}-{pretrained}-{depth}-{seed}", "arch": arch, "family": family}
                    row |= {"pretrained": pretrained, "weights": f"{arch}.tv" if pretrained else "none"}
                    row |= {"truncate": depth, "seed": seed, "parameters": parameters / SHRINK[depth]}
                    rows.append(row | {"macs": 100 * parameters, "fit_seconds": 60.0 + seed, "latency_ms": np.nan})
    replicates = Replicates(
        tasks=("x", "y", "mean"),
        estimates=np.array(estimates),
        resampled=np.array(resampled),
        n=np.array([90, 80, 95]),
        n_positive=np.array([30, 20, np.nan]),
        unit="study",
        n_units=100,
    )
    return pd.DataFrame(rows, dtype=object), replicates


def take(cells, replicates, order):
    """The same models in another order."""
    moved = Replicates(
        **{**vars(replicates), "estimates": replicates.estimates[order], "resampled": replicates.resampled[order]}
    )
    return cells.iloc[order].reset_index(drop=True), moved
