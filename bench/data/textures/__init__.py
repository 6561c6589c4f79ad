"""Generated textures and shapes as an image folder: a source task where ImageNet cannot be had."""

from bench.data.textures.dataset import TexturesSpec, generate

__all__ = ["TexturesSpec", "generate"]
