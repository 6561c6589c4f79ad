"""A schematic chest: two dark lungs (one from the side) around a bright heart, with a mark for each observation.

The air in the lungs is a field of its own: a finding in a lung takes air away, so that it is white where the lung
should be black, and invisible elsewhere.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.generated.marks import Field, bar, clouds, ellipse, film, glow, grid, soft, turn, waves
from bench.data.generated.patients import Anatomy, Findings

WIDTH, HEIGHT = 390, 320  # px: a typical frontal image of CheXpert-v1.0-small
COARSE = 2  # px of the final image for one of the drawing grid
TISSUE, AIR = 0.62, 0.46  # brightness of the body, and what a lung full of air takes off it


@dataclass(frozen=True)
class View:
    """How a chest is looked at; lengths are half picture heights."""

    lungs: tuple[float, ...]  # x of each lung's middle
    widen: float  # factor on a lung's width
    heart: float  # x of the heart's middle
    spine: float  # x of the spine
    share: float  # of the beam's air that lies in one lung


VIEWS = {
    "frontal": View((-0.45, 0.45), 1.0, 0.08, 0.0, 1.0),
    "lateral": View((0.0,), 1.6, -0.2, 0.5, 0.7),  # the sternum on the left of the picture
}


@dataclass(frozen=True)
class Lung:
    """One lung's coordinates and what lies in it."""

    x: Field  # from its middle, growing towards the ribs
    y: Field
    width: float  # half
    apex: float
    floor: float
    found: dict[str, float]  # severity by observation, of what lies in this lung

    def at(self, findings: Findings, name: str) -> tuple[Field, Field]:
        """Return the coordinates from the middle of a finding."""
        x, y = findings.across[name] * self.width, self.apex + findings.down[name] * (self.floor - self.apex)
        return self.x - x, self.y - y

    def air(self, dome: float) -> Field:
        """Return the air in the beam's way, 0 to 1, above a diaphragm that is `dome` high."""
        u = self.x / self.width
        v = (self.y - ((self.apex + self.floor) / 2)) / ((self.floor - self.apex) * 0.56)
        inside = soft((1 - np.sqrt(np.hypot(u**2, v**2))) * self.width, 0.06)
        return inside * soft(self.floor - dome * (1 - u**2) - self.y, 0.04)


def _opacity(lung: Lung, findings: Findings, texture: Field) -> Field:
    """Return the share of one lung's air that its findings take, 0 to 1."""
    found = lung.found
    wing = glow(lung.x + 0.5 * lung.width, lung.y, (0.22, 0.3)) * (1 + 0.25 * texture)
    clear = 1 - np.clip(0.95 * found["Edema"] * wing, 0, 1)
    level = 0.7 * found["Pleural Effusion"] + 0.15 * (lung.x / lung.width) ** 2
    clear *= 1 - min(1, 4 * found["Pleural Effusion"]) * soft(lung.y - lung.floor + level, 0.07)
    for name, size in (("Consolidation", 0.24), ("Pneumonia", 0.17), ("Lung Lesion", 0.07)):
        x, y = lung.at(findings, name)
        ragged = 0.04 * texture if name != "Lung Lesion" else 0
        clear *= 1 - 0.95 * found[name] ** 0.5 * soft(size - np.hypot(x, y) + ragged, 0.1)
    plate = bar(*turn(*lung.at(findings, "Atelectasis"), 0.3), (0.26, 0.03 + 0.03 * found["Atelectasis"]), 0.05)
    clear *= 1 - 0.95 * found["Atelectasis"] ** 0.5 * plate
    rind = soft(lung.x - 0.75 * lung.width, 0.05) * found["Pleural Other"]
    result: Field = 1 - clear * (1 - rind)
    return result


def _bones(x: Field, y: Field, anatomy: Anatomy, view: View) -> Field:
    """Return the brightness that ribs and spine add."""
    slope = 0.35 * x**2
    cage = waves(y - slope, anatomy.ribs) * ellipse(x, y + 0.05, (0.95, 0.75), 0.1)
    column = soft(0.08 - np.abs(x - view.spine), 0.04)
    return anatomy.bone * cage + 0.13 * column * (1 - 0.3 * waves(y, 0.14))


def _air(x: Field, y: Field, anatomy: Anatomy, findings: Findings, view: View, texture: Field) -> Field:
    """Return the air of all lungs, 0 to 1."""
    total, width = np.zeros_like(x), anatomy.width * view.widen
    for number, middle in enumerate(view.lungs):
        sides = findings.sides if len(view.lungs) > 1 else {}
        found = {
            name: severity * view.share * (sides.get(name, number) == number)
            for name, severity in findings.severity.items()
        }
        outwards = (x - middle) * (-1 if middle < 0 else 1)
        lung = Lung(outwards, y, width, anatomy.apex, anatomy.floor, found)
        air = lung.air(anatomy.dome + 0.2 * found["Atelectasis"]) * (1 - _opacity(lung, findings, texture))
        outside = soft(np.hypot(lung.x + 0.1, lung.y) - 0.55, 0.05)
        total += air * (1 + 0.45 * found["Pneumothorax"] * outside)  # the collapsed lung lies inside
    return total


def _devices(x: Field, y: Field, anatomy: Anatomy, findings: Findings) -> Field:
    """Return what is brighter than tissue in one line: a catheter to the heart, and a broken rib."""
    turned = x + 0.25 + 0.12 * np.sin(y * 4)
    line = bar(y + 0.5, turned, (0.5, 0.012), 0.02) * (findings.severity["Support Devices"] > 0)
    side = 2 * findings.sides["Fracture"] - 1
    u, v = turn(x - side * (0.1 + 1.7 * anatomy.width), y, side * 0.9)
    return line + findings.severity["Fracture"] * bar(u, v, (0.14, 0.025), 0.02)


def draw(
    view: View, anatomy: Anatomy, findings: Findings, *, anteroposterior: bool, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw one radiograph.

    Args:
        view: how the chest is looked at, one of `VIEWS`.
        anatomy: the patient.
        findings: what the study shows.
        anteroposterior: taken in bed from the front, which enlarges the heart's shadow, instead of standing.
        rng: random numbers of this image: its pose, small structures, noise and display.

    Returns:
        Grey values `[320, 390]`, 0 to 255.
    """
    found, texture = findings.severity, clouds(HEIGHT // COARSE, WIDTH // COARSE, rng=rng)
    x, y = turn(*grid(HEIGHT // COARSE, WIDTH // COARSE), rng.normal(0, 0.035))
    scale = float(np.clip(rng.normal(1.1, 0.05), 0.98, 1.24))
    x, y = x / scale - rng.normal(0, 0.05), y / scale - rng.normal(0, 0.04)
    flank = 0.1 + 2 * anatomy.width + anatomy.fat
    shoulders = y + 0.95 - 0.4 * np.clip(np.abs(x) - 0.25, 0, 0.8)
    body = soft(flank - np.abs(x), 0.06) * soft(shoulders, 0.06)
    width = (anatomy.heart + 0.17 * found["Cardiomegaly"]) * (1.07 if anteroposterior else 1.0)
    centre = anatomy.floor - anatomy.dome - 0.18
    heart = ellipse(*turn(x - view.heart, y - centre, 0.4), (width, 0.28), 0.05)
    strip = 0.13 + 0.09 * found["Enlarged Cardiomediastinum"]
    middle = np.maximum(heart, soft(strip - np.abs(x - view.heart * 0.3), 0.05))
    air = _air(x, y, anatomy, findings, view, texture) * (1 - 0.9 * middle)
    markings = 0.06 * cv2.GaussianBlur(np.abs(texture), (0, 0), 1)
    picture = body * (TISSUE + markings + _bones(x, y, anatomy, view) + 0.07 * middle)
    picture += 0.25 * _devices(x, y, anatomy, findings) - AIR * air * body
    return film(picture + 0.03 * texture * body, (HEIGHT, WIDTH), rng=rng)
