"""Generated radiographs in CheXpert's layout: `dataset` writes the set, the other modules draw one patient."""

from bench.data.phantom.dataset import VERSION, PhantomSpec, generate

__all__ = ["VERSION", "PhantomSpec", "generate"]
