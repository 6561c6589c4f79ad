"""A generated source task to pretrain on: grey pictures of a mark over stripes and clouds, as an image folder.

A class is a kind of mark. Where it lies, how large, how turned, how clear and over what is chance. The marks are drawn
as the phantom's findings are, and other than these, so that a network that tells them apart has learnt what helps to
find a patch, a plate or a level between ribs.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.generated.folders import stream, whole_folder, write_card, write_image
from bench.data.generated.marks import Field, bar, clouds, ellipse, film, glow, grid, soft, turn, waves

VERSION = 1  # raise it whenever the same spec gives other bytes
SPLITS = {"train": 0, "valid": 1}  # the split's number in its images' streams of random numbers
EDGE = 0.1
MARKS: dict[str, Callable[[Field, Field], Field]] = {
    "disc": lambda x, y: soft(0.7 - np.hypot(x, y), 2 * EDGE),
    "ring": lambda x, y: soft(0.2 - np.abs(np.hypot(x, y) - 0.7), EDGE),
    "oval": lambda x, y: ellipse(x, y, (1.0, 0.5), EDGE),
    "plate": lambda x, y: bar(x, y, (1.0, 0.15), EDGE),
    "cross": lambda x, y: np.maximum(bar(x, y, (0.9, 0.15), EDGE), bar(y, x, (0.9, 0.15), EDGE)),
    "pair": lambda x, y: bar(x, np.abs(y) - 0.4, (0.9, 0.13), EDGE),
    "arc": lambda x, y: soft(0.15 - np.abs(np.hypot(x, y + 0.6) - 1), EDGE) * soft(y, EDGE),
    "haze": lambda x, y: glow(x, y, (0.55, 0.55)),
    "wings": lambda x, y: glow(np.abs(x) - 0.7, y, (0.3, 0.45)),
    "level": lambda x, y: soft(y - 0.25 * (1 - x**2), EDGE) * soft(1.0 - np.hypot(x, y), EDGE),
}
"""By class; each of size 1 around the origin."""


@dataclass(frozen=True)
class ShapesSpec:
    """What is generated; the defaults make 2,300 images.

    Attributes:
        seed: of everything; the same spec gives the same bytes.
        train_images: images of each class to train on.
        valid_images: images of each class to measure on.
        size: px of a side.

    Raises:
        ValueError: a negative seed, a split without images, or a size below 16.
    """

    seed: int = 0
    train_images: int = 200
    valid_images: int = 30
    size: int = 64

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}.")
        if min(self.train_images, self.valid_images) < 1 or self.size < 16:
            raise ValueError("train_images and valid_images must be 1 or more, and size 16 or more.")

    @property
    def card(self) -> dict[str, Any]:
        """How the set is made: the spec and the version of this code."""
        return {"generator": "shapes", "version": VERSION, "spec": asdict(self)}


def draw(name: str, size: int, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one picture of a class.

    Args:
        name: the class, a key of `MARKS`.
        rng: random numbers of this picture.

    Returns:
        Grey values `[size, size]`, 0 to 255.
    """
    x, y = grid(size, size)
    reach = rng.uniform(0.35, 0.65)
    x0, y0 = rng.uniform(reach - 1, 1 - reach, 2).tolist()
    u, v = turn(x - x0, y - y0, rng.normal(0, 0.35))
    mark = MARKS[name](u / reach, v / (reach * rng.uniform(0.8, 1.1)))
    a, b = turn(x, y, rng.normal(0, 0.4))
    stripes = waves(b - rng.uniform(-0.4, 0.4) * a**2, rng.uniform(0.15, 0.3))
    picture = rng.uniform(0.15, 0.45) + rng.uniform(0.03, 0.1) * stripes
    cover = rng.uniform(0.4, 1) * mark  # of what lies behind it, as a finding takes a lung's air
    picture = picture * (1 - cover) + rng.uniform(0.6, 0.75) * cover
    picture = picture + rng.uniform(0.01, 0.04) * clouds(size, size, rng=rng)
    return film(picture, (size, size), rng=rng)


def generate(root: Path, spec: ShapesSpec) -> None:
    """Write `train/<class>/0000.jpg`, `valid/<class>/0000.jpg` and so on, and shapes.json.

    Args:
        root: the folder, missing or empty.

    Raises:
        FileExistsError: `root` holds something. Nothing is changed.
    """
    counts = {"train": spec.train_images, "valid": spec.valid_images}
    with whole_folder(root.resolve()) as folder:
        for number, name in enumerate(MARKS):
            for split, split_number in SPLITS.items():
                for image in range(counts[split]):
                    rng = stream(spec.seed, split_number, number, image)
                    write_image(folder / split / name / f"{image:04d}.jpg", draw(name, spec.size, rng=rng))
        write_card(folder / "shapes.json", spec.card)
