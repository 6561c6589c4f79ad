"""The pencils of the phantom: a coordinate frame, soft-edged shapes, random smooth fields, branching vessels, the film.

Lengths are in half image heights: the picture spans y = -1 (top) to 1 (bottom) and x = -1.22 to 1.22, left to right
as on screen. Everything is drawn on a grid of half the final resolution and enlarged at the end, which is four times
faster and costs no detail that a radiograph of this size would show.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

WIDTH, HEIGHT = 390, 320  # px: a typical frontal image of CheXpert-v1.0-small
COARSE = 2  # px of the final image for one of the drawing grid

Field: TypeAlias = NDArray[np.floating]  # one value for each point of the drawing grid, [HEIGHT / 2, WIDTH / 2]
Line: TypeAlias = tuple[NDArray[np.float64], float]  # points [n, 2] as (x, y), and the width


@dataclass(frozen=True)
class Pose:
    """How the patient stands before the detector and how the film is exposed; new for each image."""

    rotation: float  # radians in the picture's plane
    shift: tuple[float, float]  # (x, y) of the body's origin, half image heights
    scale: float  # size of the body on the film, 1.1 is usual
    gain: float  # contrast of the display, 1 is usual
    offset: float  # brightness added by the display
    gamma: float  # curve of the display, 1 is straight
    blur: float  # standard deviation of the unsharpness, px of the drawing grid
    grain: float  # standard deviation of the quantum noise in the brightest parts, of 1
    mottle: float  # standard deviation of the cloudy overlap of small structures, of 1
    collimation: float  # width of the black border that the shutters leave, half image heights; negative is none


def draw_pose(*, rng: np.random.Generator, clutter: float) -> Pose:
    """Draws how one image is taken.

    Args:
        rng: random numbers of this image.
        clutter: factor on the cloudy overlap; raises the difficulty of everything.
    """
    return Pose(
        rotation=float(rng.normal(0, 0.035)),
        shift=(float(rng.normal(0, 0.05)), float(rng.normal(0, 0.04))),
        scale=float(np.clip(rng.normal(1.1, 0.05), 0.98, 1.24)),
        gain=float(np.clip(rng.normal(1.0, 0.1), 0.75, 1.3)),
        offset=float(rng.normal(0.0, 0.05)),
        gamma=float(np.exp(rng.normal(0, 0.15))),
        blur=float(rng.uniform(0.3, 0.9)),
        grain=float(rng.uniform(0.02, 0.05)),
        mottle=float(rng.uniform(0.02, 0.045)) * clutter,
        collimation=float(rng.uniform(-0.12, 0.06)),
    )


@dataclass(frozen=True)
class Frame:
    """The body's coordinates at each point of the drawing grid, and the way back to pixels."""

    x: Field
    y: Field
    pose: Pose

    def to_pixels(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Returns where points of the body (`[n, 2]` as x, y) lie in the final image, px."""
        cos, sin = np.cos(self.pose.rotation), np.sin(self.pose.rotation)
        turned = points @ np.array([[cos, sin], [-sin, cos]]) * self.pose.scale + self.pose.shift
        pixels = (turned * HEIGHT + (WIDTH, HEIGHT)) / 2
        return [(float(x), float(y)) for x, y in pixels]


def make_frame(pose: Pose) -> Frame:
    """Lays the body's coordinates over the drawing grid."""
    columns = (np.arange(WIDTH // COARSE, dtype=np.float32) + 0.5) * COARSE
    rows = (np.arange(HEIGHT // COARSE, dtype=np.float32) + 0.5) * COARSE
    right = (2 * columns[None, :] - WIDTH) / HEIGHT - np.float32(pose.shift[0])
    down = (2 * rows[:, None] - HEIGHT) / HEIGHT - np.float32(pose.shift[1])
    cos, sin = np.float32(np.cos(pose.rotation) / pose.scale), np.float32(np.sin(pose.rotation) / pose.scale)
    return Frame(right * cos + down * sin, down * cos - right * sin, pose)


def soft(distance: Field, width: float) -> Field:
    """Returns 0 outside and 1 inside of an edge, with a smooth step `width` wide where `distance` crosses 0.

    Unlike a sigmoid it is exactly 0 or 1 away from the edge: a finding changes nothing but its own region.
    """
    t = np.clip(distance / width + 0.5, 0, 1)
    result: Field = t * t * (3 - 2 * t)
    return result


def ellipse(frame: Frame, centre: tuple[float, float], radii: tuple[float, float], edge: float) -> Field:
    """Returns 1 inside of an upright ellipse and 0 outside, with an edge `edge` wide.

    Args:
        frame: the body's coordinates.
        centre: (x, y), half image heights.
        radii: along x and y, half image heights.
        edge: width of the step from 0 to 1, half image heights.
    """
    q = np.hypot((frame.x - centre[0]) / radii[0], (frame.y - centre[1]) / radii[1])
    return soft((1 - q) * min(radii), edge)


def glow(dx: Field, dy: Field, sizes: tuple[float, float]) -> Field:
    """Returns a bell that is 1 at the origin of `dx, dy` and fades with standard deviations `sizes`."""
    return np.exp(-0.5 * ((dx / sizes[0]) ** 2 + (dy / sizes[1]) ** 2))


def smooth_field(cells: int, *, rng: np.random.Generator) -> Field:
    """Returns a smooth random field of mean about 0 and standard deviation about 1.

    Args:
        cells: independent values along the height; their number sets the size of the clouds.
        rng: random numbers.
    """
    values = rng.standard_normal((cells, round(cells * WIDTH / HEIGHT)), dtype=np.float32)
    picture = Image.fromarray(values).resize((WIDTH // COARSE, HEIGHT // COARSE), Image.Resampling.BICUBIC)
    return np.asarray(picture) * np.float32(1.4)  # interpolation averages, which costs some of the spread


def clouds(*, rng: np.random.Generator) -> Field:
    """Returns fields of four sizes in one, the large ones stronger, like anatomical noise (about 1/f^2 in power)."""
    total = sum((smooth_field(cells, rng=rng) / np.float32(cells) for cells in (5, 10, 20, 40)), np.float32(0))
    return np.asarray(total / np.float32(0.23), np.float32)  # root of the sum of 1/cells^2


def strokes(frame: Frame, lines: list[Line]) -> Field:
    """Returns lines drawn in white (1) on black (0); drawn at full size and averaged down, so edges are smooth."""
    picture = Image.new("L", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(picture)
    for points, width in lines:
        pen.line(frame.to_pixels(points), fill=255, width=max(1, round(width * HEIGHT / 2)), joint="curve")
    return np.asarray(picture.reduce(COARSE), np.float32) / 255


def branches(
    start: tuple[float, float], heading: float, reach: float, width: float, *, rng: np.random.Generator
) -> list[Line]:
    """Returns a vessel that wanders off from `start` and forks until it is thin.

    Args:
        start: (x, y) where it begins.
        heading: direction in radians, 0 to the right and growing clockwise on screen.
        reach: its length, half image heights; each fork has about two thirds of it.
        width: its width, half image heights.
        rng: random numbers.
    """
    bends = np.cumsum(rng.normal(0, 0.16, 5)) + heading
    steps = np.stack([np.cos(bends), np.sin(bends)], 1) * reach / 5
    points = np.vstack([start, start + np.cumsum(steps, 0)])
    lines: list[Line] = [(points, width)]
    if reach < 0.12:
        return lines
    for turn in rng.normal((-0.5, 0.45), 0.15):
        fork = (float(points[-1, 0]), float(points[-1, 1]))
        lines += branches(fork, float(bends[-1] + turn), reach * 0.66, width * 0.7, rng=rng)
    return lines


def expose(picture: Field, pose: Pose, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns the film: unsharpness, overlap, display curve, quantum noise and the shutters' border.

    Args:
        picture: brightness as drawn, about 0 (air) to 1 (bone).
        pose: how this image is taken.
        rng: random numbers of this image's noise.

    Returns:
        Grey values `[HEIGHT, WIDTH]`, 0 to 255.
    """
    inside = np.clip(picture * 4, 0, 1)  # the air beside the body has no structures to overlap
    drawn = ndimage.gaussian_filter(picture, pose.blur) + pose.mottle * inside * clouds(rng=rng)
    large = Image.fromarray(drawn.astype(np.float32)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    light = np.clip((np.asarray(large) - 0.45) * pose.gain + 0.45 + pose.offset, 0, 1) ** pose.gamma
    # Where the body absorbs most, the fewest quanta arrive: the brightest parts are the grainiest.
    light = light + pose.grain * (0.3 + 0.7 * light) * rng.standard_normal(light.shape, dtype=np.float32)
    border = max(0, round(pose.collimation * HEIGHT / 2))
    open_field = np.zeros(light.shape, np.float32)
    open_field[border : HEIGHT - border, border : WIDTH - border] = 1
    return (np.clip(light * open_field, 0, 1) * 255).round().astype(np.uint8)
