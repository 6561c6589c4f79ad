"""Draws the frontal radiograph: air in the lungs is dark, and what fills or covers it is bright.

The picture is a sum of brightnesses. The lungs' air is a field of its own, 1 where a lung is fully aerated: a finding
in the lungs takes air away (`opacity`), so that it is white where a lung should be black and invisible elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from bench.data.phantom.drawing import (
    Field,
    Frame,
    Line,
    branches,
    ellipse,
    glow,
    smooth_field,
    soft,
    strokes,
)
from bench.data.phantom.patient import Anatomy, Findings

SIDES = (-1, 1)  # the right lung, which is on the left of the picture, then the left lung
TISSUE = 0.62  # brightness of the body without air and bones
AIR = 0.46  # what a fully aerated lung takes off
HEART_GROWTH = 0.20  # cardiothoracic ratio that full cardiomegaly adds
HILUM = (0.23, -0.04)  # (distance from the midline, y) where the vessels enter a lung


@dataclass(frozen=True)
class Lung:
    """The borders of one lung; `u` is the distance from the midline."""

    side: int
    u: Field
    inner: Field  # u of the border to the mediastinum, by point
    outer: Field  # u of the border to the ribs
    bottom: Field  # y of the diaphragm
    apex: float
    floor: float  # y of the costophrenic angle
    width: float

    def at(self, across: float, down: float) -> tuple[float, float]:
        """Returns (u, y) of a place given as fractions of the lung's width and height."""
        return across * self.width, self.apex + down * (self.floor - self.apex)


def make_lung(frame: Frame, anatomy: Anatomy, findings: Findings, side: int) -> Lung:
    """Returns one lung's borders; atelectasis raises its diaphragm and draws its wall and the mediastinum in.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: of these, atelectasis and its side.
        side: -1 the right lung, 1 the left.
    """
    loss = findings.atelectasis if side == findings.atelectasis_side else 0.0
    pull = 0.05 * findings.atelectasis * findings.atelectasis_side  # of the midline, towards the collapsed side
    width = anatomy.lung_width * (1 - 0.12 * loss)
    down = np.clip((frame.y - anatomy.apex) / (anatomy.floor - anatomy.apex), 0, 1)
    u = side * frame.x
    outer = width * np.sqrt(1 - (1 - down) ** 2.3)
    inner = anatomy.mediastinum + side * pull + 0.16 * (1 - down) ** 3
    dome = anatomy.dome + (anatomy.dome_excess if side < 0 else 0) + 0.22 * loss
    crest = 0.5 * width
    fall = np.where(u > crest, (u - crest) / (width - crest), (crest - u) / 0.95)
    bottom = anatomy.floor - dome * (1 - fall**2)
    return Lung(side, u, inner, outer, bottom, anatomy.apex, anatomy.floor, width)


def aeration(lung: Lung, y: Field) -> Field:
    """Returns how much air lies in the beam's way, 0 to 1: none outside of the lung, most in its middle."""
    thickness = 0.78 + 0.22 * soft(lung.outer - lung.u - 0.12, 0.24)  # the rounded wall leaves less lung at the side
    inside = soft(lung.u - lung.inner, 0.04) * soft(lung.outer - lung.u, 0.035) * soft(lung.bottom - y, 0.035)
    return thickness * inside


def effusion_opacity(lung: Lung, y: Field, severity: float) -> Field:
    """Returns the fluid's share, 0 to 1: a level over the diaphragm that climbs along the wall as a meniscus.

    Args:
        lung: its borders.
        y: of each point, `Frame.y`.
        severity: of the effusion on this side, 0 absent to 1 full.
    """
    depth = 0.02 + 0.72 * severity  # of the fluid above the costophrenic angle
    climb = min(0.2, 0.8 * severity) * np.exp(-np.clip(lung.outer - lung.u, 0, None) / 0.12)
    return 0.93 * soft(y - (lung.floor - depth - climb), 0.07) * min(1.0, severity / 0.02)


def consolidation_opacity(lung: Lung, y: Field, findings: Findings, wobble: Field) -> Field:
    """Returns a dense patch with a ragged, fuzzy border, 0 to 0.95.

    Args:
        lung: its borders.
        y: of each point, `Frame.y`.
        findings: of these, the consolidation's severity, place and size.
        wobble: a smooth field of spread 1; shifts the border, so that it is ragged.
    """
    u0, y0 = lung.at(*findings.consolidation_at)
    size = findings.consolidation_size * (0.75 + 0.5 * findings.consolidation)
    distance = np.hypot(lung.u - u0, y - y0) / size
    patch = soft(1 - distance * (1 + 0.22 * np.clip(wobble, -2, 2)), 0.7)
    result: Field = patch * 0.95 * findings.consolidation**0.5
    return result


def edema_opacity(lung: Lung, y: Field, severity: float, wobble: Field) -> Field:
    """Returns the bat's wing, 0 to 0.95: haze that spreads from the hilum and spares the periphery.

    Args:
        lung: its borders.
        y: of each point, `Frame.y`.
        severity: of the edema, 0 absent to 1 full; more is denser and wider.
        wobble: a smooth field of spread 1; makes the haze patchy.
    """
    wing = glow(lung.u - HILUM[0] - 0.1, y - HILUM[1] - 0.12, (0.17 + 0.08 * severity, 0.28 + 0.08 * severity))
    result: Field = np.clip(wing * severity**0.8 * (0.68 + 0.16 * wobble), 0, 0.95)
    return result


def atelectasis_opacity(lung: Lung, y: Field, findings: Findings) -> Field:
    """Returns a plate-like band, and the crowded lung below it, 0 to 0.95.

    Args:
        lung: its borders.
        y: of each point, `Frame.y`.
        findings: of these, the atelectasis' severity, place and tilt.
    """
    u0, y0 = lung.at(*findings.atelectasis_at)
    y0 -= 0.1 * findings.atelectasis  # the raised diaphragm must not hide it
    cos, sin = np.cos(findings.atelectasis_tilt), np.sin(findings.atelectasis_tilt)
    along, across = (lung.u - u0) * cos - (y - y0) * sin, (y - y0) * cos + (lung.u - u0) * sin
    thickness = 0.025 + 0.04 * findings.atelectasis
    plate = soft(0.3 - np.abs(along), 0.12) * soft(thickness - np.abs(across), 0.03)
    crowded = soft(across, 0.3) * soft(0.4 - np.abs(along), 0.2) * findings.atelectasis
    result: Field = np.clip(plate * 0.9 * findings.atelectasis**0.4 + 0.45 * crowded, 0, 0.95)
    return result


def lung_opacity(lung: Lung, y: Field, findings: Findings, wobble: Field) -> Field:
    """Returns the share of one lung's air that all findings together take, 0 to 1.

    Args:
        lung: its borders.
        y: of each point, `Frame.y`.
        findings: what the study shows; what lies on the other side is left out.
        wobble: a smooth field of spread 1, for ragged and patchy opacities.
    """
    clear = 1 - edema_opacity(lung, y, findings.edema, wobble)
    clear = clear * (1 - effusion_opacity(lung, y, findings.effusion[SIDES.index(lung.side)]))
    if lung.side == findings.consolidation_side:
        clear = clear * (1 - consolidation_opacity(lung, y, findings, wobble))
    if lung.side == findings.atelectasis_side:
        clear = clear * (1 - atelectasis_opacity(lung, y, findings))
    return 1 - clear


def heart_mask(frame: Frame, anatomy: Anatomy, findings: Findings, magnification: float = 1.0) -> Field:
    """Returns 1 where the heart is.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: of these, cardiomegaly widens the heart and atelectasis pulls it to its side.
        magnification: of the heart's shadow; above 1 when the patient's front faces the tube (AP).
    """
    half = (anatomy.heart_ratio + HEART_GROWTH * findings.cardiomegaly) * anatomy.lung_width * magnification
    rise = 0.30 + 0.06 * findings.cardiomegaly
    y0 = anatomy.floor - anatomy.dome - rise + 0.15  # its lower border lies behind the domes
    x0 = 0.3 * half + 0.05 * findings.atelectasis * findings.atelectasis_side
    leaning = Frame(frame.x - anatomy.heart_tilt * (frame.y - y0), frame.y, frame.pose)
    return ellipse(leaning, (x0, y0), (half * 0.97, rise), 0.05)


def mediastinum_mask(frame: Frame, anatomy: Anatomy, findings: Findings) -> Field:
    """Returns 1 where the great vessels are: the strip in the middle, the aortic knob and the pulmonary trunk.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: of these, the widening of the mediastinum, and atelectasis, which pulls it to its side.
    """
    half = anatomy.mediastinum * (1 + 0.6 * findings.mediastinum)
    shift = 0.05 * findings.atelectasis * findings.atelectasis_side
    strip = soft(half - np.abs(frame.x - shift) + 0.03 * frame.y, 0.05)
    knob = anatomy.knob * (1 + 0.5 * findings.mediastinum)
    arch = ellipse(frame, (half - 0.02 + shift, -0.34), (knob, knob), 0.04)
    trunk = ellipse(frame, (half - 0.02 + shift, -0.14), (0.08, 0.11), 0.05)
    return np.maximum(strip, np.maximum(arch, trunk))


def vessel_lines(findings: Findings, *, rng: np.random.Generator) -> list[Line]:
    """Returns the lungs' vessels, which fan out from both hila; edema makes them thicker."""
    lines: list[Line] = []
    for side in SIDES:
        for heading in np.linspace(-1.35, 1.25, 7) + rng.normal(0, 0.1, 7):
            start = (side * (HILUM[0] - 0.05), HILUM[1] + 0.1 * float(heading) + 0.03 * (side < 0))
            angle = float(heading if side > 0 else np.pi - heading)
            lines += branches(start, angle, 0.27, 0.024 * (1 + 0.5 * findings.edema), rng=rng)
    return lines


def ribs(frame: Frame, anatomy: Anatomy) -> Field:
    """Returns the cage's brightness, 0 to 1: posterior ribs fall outwards, fainter anterior ones inwards."""
    u = np.abs(frame.x)
    reach = soft(anatomy.lung_width + 0.05 - u, 0.05) * soft(frame.y - anatomy.apex - 0.02, 0.1)
    reach = reach * (0.25 + 0.75 * soft(anatomy.floor - 0.1 - frame.y, 0.4))  # the abdomen hides the lowest
    posterior = np.cos(2 * np.pi / anatomy.rib_spacing * (frame.y - anatomy.rib_slope * u**2 + 0.25 * u))
    anterior = np.cos(2 * np.pi / anatomy.rib_spacing * (frame.y - 0.1 - 0.75 * (1 - u) ** 2))
    front = soft(u - 0.35, 0.3) * soft(0.35 - frame.y, 0.3)
    return reach * (soft(posterior - 0.35, 0.7) + 0.55 * front * soft(anterior - 0.4, 0.7))


def bones(frame: Frame, anatomy: Anatomy) -> Field:
    """Returns the brightness that ribs, spine and clavicles add."""
    bend = anatomy.scoliosis * np.sin(2.5 * frame.y)
    column = soft(0.085 - np.abs(frame.x - bend), 0.03)
    discs = 0.75 + 0.25 * np.cos(2 * np.pi * frame.y / 0.14)
    u = np.abs(frame.x)
    bar = frame.y - anatomy.clavicle + 0.3 * (u - 0.1) - 0.12 * np.sin(4.5 * (u - 0.1))
    clavicle = soft(0.035 - np.abs(bar), 0.025) * soft(u - 0.1, 0.04) * soft(0.8 - u, 0.1)
    result: Field = anatomy.rib_contrast * ribs(frame, anatomy) + 0.12 * column * discs + 0.14 * clavicle
    return result


def soft_tissue(frame: Frame, anatomy: Anatomy) -> Field:
    """Returns the body without lungs and bones: shoulders, neck, flanks, breasts and the gas bubble of the stomach."""
    u = np.abs(frame.x)
    shoulder = -0.98 + 0.42 * np.clip((u - 0.26) / 0.85, 0, 1) ** 1.6
    flank = anatomy.lung_width + 0.06 + anatomy.fat + 0.35 * np.clip(0.1 - frame.y, 0, None)
    trunk = soft(frame.y - shoulder, 0.05) * soft(flank - u, 0.05)
    neck = soft(0.27 - u, 0.05) * soft(-0.6 - frame.y, 0.3)
    body = TISSUE * np.maximum(trunk, neck) * (0.9 + 0.1 * soft(frame.y - 0.2, 1.2))
    trachea = soft(0.045 - np.abs(frame.x - 0.01), 0.03) * soft(-0.28 - frame.y, 0.1)
    bubble = ellipse(
        frame, (0.42, anatomy.floor - anatomy.dome + 0.14), (anatomy.gastric + 0.04, anatomy.gastric), 0.05
    )
    layer = 0.10 * body * soft(0.24 - np.hypot(u - 0.42, (frame.y - 0.28) * 0.9), 0.12)
    return body - 0.14 * trachea - 0.22 * bubble * (anatomy.gastric > 0.03) + (layer if anatomy.female else 0)


def catheter_line(anatomy: Anatomy, *, rng: np.random.Generator) -> Line:
    """Returns a central venous line from the right side of the neck to the upper vena cava."""
    end = rng.uniform(-0.15, 0.1)
    turn = anatomy.clavicle - 0.02
    points = np.array([(-0.5, -1.05), (-0.34, turn - 0.1), (-0.16, turn + 0.08), (-0.1, turn + 0.25), (-0.1, end)])
    return points + rng.normal(0, 0.012, points.shape), 0.016


def frontal(
    frame: Frame, anatomy: Anatomy, findings: Findings, *, anteroposterior: bool, rng: np.random.Generator
) -> Field:
    """Draws a frontal radiograph before exposure.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: what the study shows.
        anteroposterior: taken in bed from the front, which enlarges the heart's shadow, instead of standing.
        rng: random numbers of this image's small structures.

    Returns:
        Brightness, about 0 (air) to 1 (bone).
    """
    wobble = smooth_field(9, rng=rng)
    vessels = strokes(frame, vessel_lines(findings, rng=rng))
    central = np.maximum(
        heart_mask(frame, anatomy, findings, 1.07 if anteroposterior else 1.0),
        mediastinum_mask(frame, anatomy, findings),
    )
    air = np.zeros_like(frame.x)
    for side in SIDES:
        lung = make_lung(frame, anatomy, findings, side)
        hilum = 0.35 * glow(lung.u - HILUM[0] + 0.02, frame.y - HILUM[1], (0.055, 0.1))
        air += aeration(lung, frame.y) * (1 - hilum) * (1 - lung_opacity(lung, frame.y, findings, wobble))
    air = air * (1 - 0.9 * central)
    markings = anatomy.vessels * (1 + 0.8 * findings.edema) * vessels * air
    picture = soft_tissue(frame, anatomy) - AIR * air + AIR * markings + bones(frame, anatomy) + 0.07 * central
    line = catheter_line(anatomy, rng=rng)  # drawn either way, so that the numbers after it do not depend on it
    return picture + 0.3 * strokes(frame, [line]) if findings.catheter else picture
