"""The textures and shapes of the generated source task: each a pure function from coordinates to a field.

Coordinates run from -1 to 1 over a square picture; a texture is drawn in its own, turned, frame, with any mean and
spread. A shape's field is about the distance to its outline, positive inside, for a shape of size 1 around the origin.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

Field: TypeAlias = NDArray[np.floating]  # [size, size]


def grid(size: int) -> tuple[Field, Field]:
    """Returns x and y of each pixel of a square picture, -1 to 1."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    return np.tile(axis, (size, 1)), np.tile(axis[:, None], (1, size))


def turn(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    """Returns the coordinates `x` and `y` in a frame turned by `angle` radians."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos + y * sin, y * cos - x * sin


def standard(field: Field) -> Field:
    """Returns the field with mean 0 and spread 1."""
    result: Field = (field - field.mean()) / (field.std() + np.float32(1e-6))
    return result


def power_law(size: int, alpha: float, stretch: float, angle: float, *, rng: np.random.Generator) -> Field:
    """Returns noise whose amplitude falls as 1/f^alpha, as in photographs (alpha about 1).

    Args:
        size: px of a side.
        alpha: exponent of the amplitude.
        stretch: how much longer the structures are along `angle` than across; 1 is the same in all directions.
        angle: radians.
        rng: random numbers.
    """
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    frequency = np.hypot(along * stretch, across)
    frequency[0, 0] = np.inf  # no mean
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**alpha
    return standard(np.fft.irfft2(spectrum, s=(size, size)).astype(np.float32))


def _grating(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Parallel waves, more or less bent."""
    frequency, bend = rng.uniform(3, 9), rng.uniform(0, 0.15)
    return np.sin(np.pi * frequency * (x + bend * np.sin(3 * y)))


def _checker(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """A chess board."""
    frequency, aspect = rng.uniform(2.5, 6), rng.uniform(0.7, 1.4)
    result: Field = np.tanh(6 * np.sin(np.pi * frequency * x) * np.sin(np.pi * frequency * aspect * y))
    return result


def _woven(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Threads that pass over and under each other."""
    frequency = rng.uniform(3, 7)
    warp, weft = np.abs(np.sin(np.pi * frequency * x)), np.abs(np.sin(np.pi * frequency * y))
    over = (np.floor(frequency * x) + np.floor(frequency * y)) % 2 > 0
    result: Field = np.where(over, warp, weft * np.float32(0.7) - np.float32(0.4))
    return result


def _cells(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Voronoi cells with dark walls, each of its own grey."""
    count = int(rng.integers(15, 60))
    places = rng.uniform(-1.5, 1.5, (count, 2))
    distances, owner = KDTree(places).query(np.stack([x, y], -1), k=2)
    grey = rng.uniform(0, 0.5, count)[owner[..., 0]]
    wall = np.clip((distances[..., 1] - distances[..., 0]) / 0.12, 0, 1)
    result: Field = (wall + grey).astype(np.float32)
    return result


def _blobs(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Soft round spots of many sizes."""
    total = np.zeros_like(x)
    for x0, y0, size in zip(*rng.uniform(-1.2, 1.2, (2, 18)), rng.uniform(0.06, 0.22, 18), strict=True):
        total += np.exp(-((x - np.float32(x0)) ** 2 + (y - np.float32(y0)) ** 2) / np.float32(size**2))
    return total


def _rings(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Circles around a point, like a felled tree's."""
    x0, y0, frequency = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(3, 8)
    result: Field = np.sin(np.pi * frequency * np.hypot(x - np.float32(x0), y - np.float32(y0)))
    return result


def _leaves(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Dead leaves: discs that cover each other, small ones the most frequent, as objects are in photographs."""
    canvas = np.zeros_like(x)
    for x0, y0, chance in rng.uniform(-1, 1, (45, 3)):
        radius = np.float32(0.09 / (0.28 + 0.36 * (chance + 1)))
        canvas[(x - np.float32(1.2 * x0)) ** 2 + (y - np.float32(1.2 * y0)) ** 2 < radius**2] = rng.random()
    return canvas


def _fibres(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Noise with long structures in one direction, like hair or wood."""
    angle = float(np.arctan2(y[0, -1] - y[0, 0], x[0, -1] - x[0, 0]))  # the frame's own turn
    return power_law(len(x), rng.uniform(0.9, 1.3), rng.uniform(5, 9), angle, rng=rng)


def _fissures(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """A few thin cracks over a smooth ground."""
    total = np.zeros_like(x)
    for _ in range(int(rng.integers(4, 8))):
        u, v = turn(x, y, rng.uniform(0, np.pi))
        line = v - np.float32(rng.uniform(-0.9, 0.9)) - np.float32(0.12) * np.sin(u * np.float32(rng.uniform(2, 5)))
        total = np.maximum(total, np.exp(-((line / np.float32(rng.uniform(0.02, 0.05))) ** 2)))
    return total


def _burst(x: Field, y: Field, *, rng: np.random.Generator) -> Field:
    """Rays from a point."""
    x0, y0, rays = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), int(rng.integers(7, 16))
    result: Field = np.sin(rays * np.arctan2(y - np.float32(y0), x - np.float32(x0)))
    return result


def _disc(x: Field, y: Field) -> Field:
    return 1 - np.hypot(x, y)


def _ring(x: Field, y: Field) -> Field:
    return np.float32(0.22) - np.abs(np.hypot(x, y) - np.float32(0.78))


def _polygon(x: Field, y: Field, corners: int) -> Field:
    """A regular polygon with `corners` corners on the unit circle."""
    step = 2 * np.pi / corners
    angle = (np.arctan2(y, x) + 2 * np.pi) % step - step / 2
    result: Field = (np.cos(step / 2) - np.hypot(x, y) * np.cos(angle)).astype(np.float32)
    return result


def _triangle(x: Field, y: Field) -> Field:
    return _polygon(x, y, 3)


def _square(x: Field, y: Field) -> Field:
    return _polygon(x, y, 4)


def _star(x: Field, y: Field) -> Field:
    radius = np.float32(0.68) + np.float32(0.32) * np.cos(5 * np.arctan2(y, x))
    result: Field = radius - np.hypot(x, y)
    return result


def _bar(x: Field, y: Field) -> Field:
    result: Field = np.minimum(1 - np.abs(x), np.float32(0.2) - np.abs(y))
    return result


def _cross(x: Field, y: Field) -> Field:
    return np.maximum(_bar(x, y), _bar(y, x))


def _crescent(x: Field, y: Field) -> Field:
    result: Field = np.minimum(_disc(x, y), np.hypot(x - np.float32(0.45), y) - np.float32(0.8))
    return result


TEXTURES: dict[str, Callable[..., Field]] = {
    "grating": _grating,
    "checker": _checker,
    "woven": _woven,
    "cells": _cells,
    "blobs": _blobs,
    "rings": _rings,
    "leaves": _leaves,
    "fibres": _fibres,
    "fissures": _fissures,
    "burst": _burst,
}
SHAPES: dict[str, Callable[[Field, Field], Field]] = {
    "disc": _disc,
    "ring": _ring,
    "triangle": _triangle,
    "square": _square,
    "star": _star,
    "bar": _bar,
    "cross": _cross,
    "crescent": _crescent,
}


def blurred(picture: Field, sigma: float) -> Field:
    """Returns `[size, size, 3]` blurred over its rows and columns, not over its colours."""
    result: Field = ndimage.gaussian_filter(picture, (sigma, sigma, 0))
    return result
