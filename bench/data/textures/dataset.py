"""A generated source task, to pretrain on where ImageNet cannot be had: textures and shapes, as an image folder.

A class is a pair of a texture, which fills the background, and a shape, which lies somewhere in front of it. Where, how
large, how turned, in which colours, how clear and under which light is chance. So a network must learn edges and
orientations as well as outlines, at several scales, and to find a thing in clutter: what transfers to radiographs.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.generated import stream, whole_folder, write_card
from bench.data.textures.drawing import SHAPES, TEXTURES, Field, blurred, grid, power_law, standard, turn

VERSION = 1  # raise it whenever the same spec gives other bytes
SPLITS = {"train": 0, "valid": 1}  # the split's number in its images' streams of random numbers
JPEG_QUALITY = 92


@dataclass(frozen=True)
class TexturesSpec:
    """What is generated; the defaults make 2,400 images.

    Attributes:
        seed: of everything; the same spec gives the same bytes.
        classes: pairs of texture and shape, at most 80; each texture and shape occurs about equally often.
        train_images: images of each class to train on.
        valid_images: images of each class to measure on.
        size: px of a side; 96 is what the networks see on the phantom in quick runs.

    Raises:
        ValueError: a negative seed, fewer than 2 classes or more than there are pairs, a split without images, or a
            size below 16.
    """

    seed: int = 0
    classes: int = 40
    train_images: int = 50
    valid_images: int = 10
    size: int = 96

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}.")
        if not 1 < self.classes <= len(TEXTURES) * len(SHAPES):
            raise ValueError(f"classes must be 2 to {len(TEXTURES) * len(SHAPES)}, not {self.classes}.")
        if min(self.train_images, self.valid_images) < 1 or self.size < 16:
            raise ValueError("train_images and valid_images must be 1 or more, and size 16 or more.")


def class_pairs(count: int) -> list[tuple[str, str]]:
    """Returns the first `count` pairs of texture and shape, all different, spread evenly over both."""
    textures, shapes = list(TEXTURES), list(SHAPES)
    # 10 textures and 8 shapes meet again after 40 pairs: from there on the shapes are one ahead.
    return [(textures[i % len(textures)], shapes[(i + i // 40) % len(shapes)]) for i in range(count)]


def draw_palette(*, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns three colours `[3, 3]` (ground, texture's swing, object), 0 to 1; every other picture is nearly grey."""
    saturation = 0.1 if rng.random() < 0.5 else 0.4
    grey = rng.uniform(0.25, 0.75, (3, 1))
    return np.clip(grey + saturation * rng.uniform(-0.35, 0.35, (3, 3)), 0, 1).astype(np.float32)


def object_mask(shape: str, x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Returns 1 where the object is and 0 elsewhere; its place, size, turn, proportions and edge are chance.

    Args:
        shape: of the object, a key of `SHAPES`.
        x, y: of each pixel, -1 to 1 (`grid`).
        rng: random numbers of this picture.
    """
    reach = rng.uniform(0.5, 0.75)
    x0, y0 = rng.uniform(-0.95 + reach, 0.95 - reach, 2)
    u, v = turn(x - np.float32(x0), y - np.float32(y0), rng.uniform(-0.3, 0.3))
    distance = SHAPES[shape](u / np.float32(reach), v / np.float32(reach * rng.uniform(0.8, 1.1))) * np.float32(reach)
    edge = np.float32(rng.choice((0.03, 0.06, 0.12)))  # sharp, soft, and as fuzzy as a shadow in the lung
    result: Field = np.clip(distance / edge + np.float32(0.5), 0, 1)
    return result


def light(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Returns the brightness of a slanting light with a soft shadow, about 1.

    Args:
        x, y: of each pixel, -1 to 1 (`grid`).
        rng: random numbers of this picture.
    """
    slope = rng.uniform(-0.25, 0.25, 2)
    shadow = power_law(len(x), 2.2, 1, 0, rng=rng)
    result: Field = (1 + slope[0] * x + slope[1] * y + rng.uniform(0, 0.08) * shadow).astype(np.float32)
    return result


def draw(texture: str, shape: str, size: int, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draws one picture of a class.

    Args:
        texture: of the background, a key of `TEXTURES`.
        shape: of the object, a key of `SHAPES`.
        size: px of a side.
        rng: random numbers of this picture.

    Returns:
        Colours `[size, size, 3]`, 0 to 255.
    """
    x, y = grid(size)
    angle, zoom = rng.uniform(-0.3, 0.3), np.float32(rng.uniform(0.8, 1.2))
    u, v = turn(x * zoom, y * zoom, angle)
    cloud = power_law(size, rng.uniform(0.8, 1.6), rng.uniform(1, 3), rng.uniform(0, np.pi), rng=rng)
    pattern = standard(TEXTURES[texture](u, v, rng=rng))
    ground, swing, thing = draw_palette(rng=rng)
    clarity = np.float32(rng.uniform(0.7, 1.0))  # of the texture against the clouds
    field = (clarity * pattern + np.float32(0.25) * cloud)[..., None]
    picture = ground + np.float32(0.22) * field * (swing - ground + np.float32(0.5))
    mask = (object_mask(shape, x, y, rng=rng) * np.float32(rng.uniform(0.75, 1.0)))[..., None]
    away = np.where(thing.mean() > ground.mean(), 1, -1) * np.float32(rng.uniform(0.15, 0.35))  # it must stand out
    surface = thing + away + np.float32(0.08) * power_law(size, 1.2, 1, 0, rng=rng)[..., None]
    picture = (picture * (1 - mask) + surface * mask) * light(x, y, rng=rng)[..., None]
    picture = blurred(picture, rng.uniform(0, 0.9)) + rng.normal(0, rng.uniform(0.005, 0.02), picture.shape)
    result: NDArray[np.uint8] = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
    return result


def write_image(path: Path, colours: NDArray[np.uint8]) -> None:
    """Writes colours `[height, width, 3]` as an RGB JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours).save(path, quality=JPEG_QUALITY)


def generate(root: Path, spec: TexturesSpec) -> None:
    """Writes `train/<class>/0000.jpg`, `valid/<class>/0000.jpg` and so on, and textures.json.

    Args:
        root: the folder, missing or empty.
        spec: what to generate.

    Raises:
        FileExistsError: `root` holds something. Nothing is changed.
    """
    counts = {"train": spec.train_images, "valid": spec.valid_images}
    with whole_folder(root.resolve()) as folder:
        for number, (texture, shape) in enumerate(class_pairs(spec.classes)):
            for split, split_number in SPLITS.items():
                for image in range(counts[split]):
                    rng = stream(spec.seed, split_number, number, image)
                    path = folder / split / f"{texture}_{shape}" / f"{image:04d}.jpg"
                    write_image(path, draw(texture, shape, spec.size, rng=rng))
        write_card(folder / "textures.json", {"generator": "textures", "version": VERSION, "spec": asdict(spec)})
