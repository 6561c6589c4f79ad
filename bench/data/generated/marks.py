"""What both generators draw with: soft-edged marks on a grid of coordinates, smooth noise, and the film.

Coordinates are half picture heights: y runs from -1 (top) to 1 (bottom), x from left to right. A mark is a field: its
strength at each point, 0 to 1.
"""

import math
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.floating]  # [height, width]


def grid(height: int, width: int) -> tuple[Field, Field]:
    """Return x and y of each pixel."""
    y = (2 * np.arange(height, dtype=np.float32) + 1) / height - 1
    x = (2 * np.arange(width, dtype=np.float32) + 1 - width) / height
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))


def turn(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    """Return the coordinates `x` and `y` in a frame turned by `angle` radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def soft(distance: Field, width: float) -> Field:
    """Return 0 outside and 1 inside of an edge, with a smooth step `width` wide where `distance` crosses 0."""
    t = np.clip(distance / width + 0.5, 0, 1)
    result: Field = t * t * (3 - 2 * t)
    return result


def ellipse(x: Field, y: Field, radii: tuple[float, float], edge: float) -> Field:
    """Return an upright ellipse.

    Args:
        x, y: coordinates from its centre.
        radii: along x and y.
        edge: width of the step at its border.
    """
    q = np.hypot(x / radii[0], y / radii[1])
    return soft((1 - q) * min(radii), edge)


def bar(x: Field, y: Field, half: tuple[float, float], edge: float) -> Field:
    """Return an upright bar.

    Args:
        x, y: coordinates from its centre.
        half: half its length (along x) and half its thickness.
        edge: width of the step at its border.
    """
    return soft(half[0] - np.abs(x), edge) * soft(half[1] - np.abs(y), edge)


def glow(x: Field, y: Field, sizes: tuple[float, float]) -> Field:
    """Return a bell that is 1 at the origin of `x, y` and fades with standard deviations `sizes`."""
    return np.exp(-0.5 * ((x / sizes[0]) ** 2 + (y / sizes[1]) ** 2))


def waves(distance: Field, spacing: float) -> Field:
    """Return parallel stripes, one each `spacing` of `distance`."""
    return soft(np.cos(distance * (2 * math.pi / spacing)) - 0.35, 0.7)


def clouds(height: int, width: int, *, rng: np.random.Generator) -> Field:
    """Return noise of four sizes, the coarse ones stronger, as in tissue; mean about 0, standard deviation about 1.2.

    Args:
        height, width: of the picture, pixels.
        rng: random numbers of this picture.
    """
    total = np.zeros((height, width), np.float32)
    for cells in (5, 10, 20, 40):
        values = rng.standard_normal((cells, round(cells * width / height)), dtype=np.float32)
        total += cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC) / cells
    result: Field = total * 6.0
    return result


def film(picture: Field, size: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the grey values `[height, width]` of a picture, unsharp and grainy, under a display of its own.

    Args:
        picture: brightness, about 0 to 1.
        size: height and width of the result, pixels.
        rng: random numbers of this picture.
    """
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.4, 0.9))
    large = cv2.resize(blurred, size[::-1], interpolation=cv2.INTER_LINEAR)
    light = (large - 0.45) * rng.normal(1, 0.1) + 0.45 + rng.normal(0, 0.05)
    light += rng.uniform(0.02, 0.05) * rng.standard_normal(size, dtype=np.float32)
    result: NDArray[np.uint8] = (np.clip(light, 0, 1) * 255).round().astype(np.uint8)
    return result
