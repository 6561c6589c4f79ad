"""Draws the lateral radiograph: the sternum is on the left of the picture, the spine on the right, both lungs overlap.

The same findings appear from the side. As each lung is half of the air in the beam's way, a one-sided finding is
fainter here than on the frontal image; the fluid of an effusion gathers behind, in the lowest angle of the lung.
"""

import numpy as np

from bench.data.phantom.drawing import Field, Frame, Line, branches, ellipse, glow, smooth_field, soft, strokes
from bench.data.phantom.frontal import AIR, HEART_GROWTH, SIDES, TISSUE
from bench.data.phantom.patient import Anatomy, Findings

HILUM = (0.06, -0.06)  # (x, y) where the vessels of both lungs meet
DEPTH = 0.72  # of a lung from the breastbone to the spine, of its width in the frontal picture
ANGLE = 0.13  # by how much the angle behind lies below the one at the side


def profile(frame: Frame, anatomy: Anatomy) -> tuple[Field, Field]:
    """Returns x of the lungs' border to the breastbone and to the back, by point."""
    down = np.clip((frame.y - anatomy.apex) / (anatomy.floor - anatomy.apex), 0, 1)
    depth = DEPTH * anatomy.lung_width
    front = -depth * (0.12 + 0.88 * np.sqrt(1 - (1 - down) ** 2))
    back = depth * (0.30 + 0.80 * np.sqrt(np.clip(1 - ((frame.y + 0.02) / 0.95) ** 2, 0, 1)))
    return front, back


def diaphragm(frame: Frame, anatomy: Anatomy, findings: Findings, side: int) -> Field:
    """Returns y of one dome, by point: high in front, falling to the angle behind; atelectasis raises it.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: of these, atelectasis and its side.
        side: -1 the right dome, 1 the left.
    """
    loss = findings.atelectasis if side == findings.atelectasis_side else 0.0
    top = anatomy.floor - anatomy.dome - (anatomy.dome_excess if side < 0 else 0) - 0.2 * loss
    crest, depth = -0.12, DEPTH * anatomy.lung_width
    fall = np.where(frame.x > crest, (frame.x - crest) / (depth - crest), (crest - frame.x) / (1.3 * depth))
    return top + (anatomy.floor + ANGLE - top) * np.clip(fall, 0, 1.2) ** 2


def effusion_opacity(frame: Frame, anatomy: Anatomy, back: Field, severity: float) -> Field:
    """Returns the fluid's share, 0 to 1: it fills the angle behind and climbs along the back.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        back: x of the lungs' border to the back, by point (`profile`).
        severity: of the effusion on one side, 0 absent to 1 full.
    """
    depth = 0.02 + 0.75 * severity
    climb = min(0.2, 0.8 * severity) * np.exp(-np.clip(back - frame.x, 0, None) / 0.14)
    return 0.93 * soft(frame.y - (anatomy.floor + ANGLE - depth - climb), 0.07) * min(1.0, severity / 0.02)


def consolidation_opacity(frame: Frame, anatomy: Anatomy, findings: Findings, wobble: Field) -> Field:
    """Returns a dense patch with a ragged border, 0 to 0.95, at the height that the frontal image shows it.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: of these, the consolidation's severity, place and size.
        wobble: a smooth field of spread 1; shifts the border, so that it is ragged.
    """
    across, down = findings.consolidation_at
    # What lies to the side in the frontal picture is drawn behind: the frontal picture does not tell the depth.
    centre = ((across - 0.5) * 1.4 * DEPTH * anatomy.lung_width, anatomy.apex + down * (anatomy.floor - anatomy.apex))
    size = findings.consolidation_size * (0.75 + 0.5 * findings.consolidation)
    distance = np.hypot(frame.x - centre[0], frame.y - centre[1]) / size
    result: Field = soft(1 - distance * (1 + 0.22 * np.clip(wobble, -2, 2)), 0.7) * 0.95 * findings.consolidation**0.5
    return result


def atelectasis_opacity(frame: Frame, anatomy: Anatomy, findings: Findings) -> Field:
    """Returns a displaced fissure, 0 to 0.95: a plate that rises from the front to the back.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: of these, the atelectasis' severity, place and tilt.
    """
    across, down = findings.atelectasis_at
    x0 = (across - 0.5) * DEPTH * anatomy.lung_width
    y0 = anatomy.apex + down * (anatomy.floor - anatomy.apex) - 0.12 * findings.atelectasis
    tilt = findings.atelectasis_tilt + 0.35
    cos, sin = np.cos(tilt), np.sin(tilt)
    along, across_plate = (frame.x - x0) * cos - (frame.y - y0) * sin, (frame.y - y0) * cos + (frame.x - x0) * sin
    plate = soft(0.28 - np.abs(along), 0.12) * soft(0.025 + 0.04 * findings.atelectasis - np.abs(across_plate), 0.03)
    result: Field = plate * 0.95 * findings.atelectasis**0.4
    return result


def lung_air(frame: Frame, anatomy: Anatomy, findings: Findings, side: int, wobble: Field) -> Field:
    """Returns the air of one lung, 0 to 1, after what its findings take.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: what the study shows; what lies on the other side is left out.
        side: -1 the right lung, 1 the left.
        wobble: a smooth field of spread 1, for ragged and patchy opacities.
    """
    front, back = profile(frame, anatomy)
    air = soft(frame.x - front, 0.05) * soft(back - frame.x, 0.05)
    air = air * soft(frame.y - anatomy.apex, 0.25) * soft(diaphragm(frame, anatomy, findings, side) - frame.y, 0.035)
    spread = (0.2 + 0.1 * findings.edema, 0.28 + 0.1 * findings.edema)
    haze = glow(frame.x - HILUM[0], frame.y - HILUM[1] - 0.08, spread) * findings.edema**0.8
    air = air * (1 - np.clip(haze * (0.68 + 0.16 * wobble), 0, 0.95))
    air = air * (1 - effusion_opacity(frame, anatomy, back, findings.effusion[SIDES.index(side)]))
    if side == findings.consolidation_side:
        air = air * (1 - consolidation_opacity(frame, anatomy, findings, wobble))
    if side == findings.atelectasis_side:
        air = air * (1 - atelectasis_opacity(frame, anatomy, findings))
    result: Field = air
    return result


def heart_mask(frame: Frame, anatomy: Anatomy, findings: Findings) -> Field:
    """Returns 1 where the heart is: on the front of the diaphragm; a large one reaches back towards the spine.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: of these, cardiomegaly, which enlarges the heart.
    """
    half = 0.72 * (anatomy.heart_ratio + HEART_GROWTH * findings.cardiomegaly) * anatomy.lung_width
    rise = 0.30 + 0.07 * findings.cardiomegaly
    y0 = anatomy.floor - anatomy.dome - rise + 0.14
    x0 = -0.78 * DEPTH * anatomy.lung_width + 0.95 * half
    leaning = Frame(frame.x - 0.35 * (y0 - frame.y), frame.y, frame.pose)
    return ellipse(leaning, (x0, y0), (half, rise), 0.06)


def bones(frame: Frame, anatomy: Anatomy) -> Field:
    """Returns the brightness that vertebrae, breastbone and both sides' ribs add."""
    front, back = profile(frame, anatomy)
    column = soft(0.09 - np.abs(frame.x - back - 0.01), 0.04) * soft(frame.y + 0.85, 0.2)
    vertebrae = 0.55 + 0.45 * soft(np.cos(2 * np.pi * frame.y / 0.17) + 0.6, 0.6)
    plate = soft(0.03 - np.abs(frame.x - front + 0.03), 0.03) * soft(frame.y + 0.6, 0.1) * soft(0.25 - frame.y, 0.1)
    inside = soft(frame.x - front + 0.02, 0.05) * soft(back + 0.1 - frame.x, 0.05)
    inside = inside * soft(anatomy.floor - frame.y, 0.4) * soft(frame.y - anatomy.apex - 0.1, 0.2)
    cage = np.cos(2 * np.pi / anatomy.rib_spacing * (frame.y - 0.55 * (0.4 - frame.x) ** 2 + 0.35 * frame.x))
    return 0.14 * column * vertebrae + 0.12 * plate + 0.9 * anatomy.rib_contrast * inside * soft(cage - 0.4, 0.7)


def soft_tissue(frame: Frame, anatomy: Anatomy) -> Field:
    """Returns the body from the side: chest, back, neck, raised arms, breasts and the dark windpipe."""
    front, back = profile(frame, anatomy)
    ahead = front - 0.06 - anatomy.fat * 0.6 - 0.02
    if anatomy.female:
        ahead = ahead - 0.14 * np.exp(-(((frame.y - 0.12) / 0.2) ** 2))
    trunk = soft(frame.x - ahead, 0.05) * soft(back + 0.16 + 0.5 * anatomy.fat - frame.x, 0.05)
    trunk = trunk * soft(frame.y + 0.9, 0.2)
    arm = soft(0.35 - np.abs(frame.x + 0.1 + 0.4 * (frame.y + 0.9)), 0.1) * soft(-0.5 - frame.y, 0.2)
    trachea = soft(0.04 - np.abs(frame.x - 0.02 - 0.12 * (frame.y + 0.5)), 0.03) * soft(-0.15 - frame.y, 0.1)
    return TISSUE * np.maximum(trunk, 0.9 * arm) + 0.08 * arm * trunk - 0.12 * trachea * trunk


def vessel_lines(findings: Findings, *, rng: np.random.Generator) -> list[Line]:
    """Returns the vessels of both lungs, which fan out from the hila in all directions."""
    lines: list[Line] = []
    for heading in np.arange(9) * (2 * np.pi / 9) + rng.normal(0, 0.15, 9):
        lines += branches(HILUM, float(heading), 0.24, 0.022 * (1 + 0.5 * findings.edema), rng=rng)
    return lines


def lateral(frame: Frame, anatomy: Anatomy, findings: Findings, *, rng: np.random.Generator) -> Field:
    """Draws a lateral radiograph before exposure.

    Args:
        frame: the body's coordinates.
        anatomy: the patient.
        findings: what the study shows.
        rng: random numbers of this image's small structures.

    Returns:
        Brightness, about 0 (air) to 1 (bone).
    """
    wobble = smooth_field(9, rng=rng)
    vessels = strokes(frame, vessel_lines(findings, rng=rng))
    air = np.zeros_like(frame.x)
    for side in SIDES:
        air += 0.5 * lung_air(frame, anatomy, findings, side, wobble)
    heart = heart_mask(frame, anatomy, findings)
    arch = ellipse(frame, (HILUM[0] + 0.02, -0.34), (1.3 * anatomy.knob, anatomy.knob), 0.05)
    hilum = ellipse(frame, HILUM, (0.07, 0.1), 0.08)
    filled = np.maximum(0.85 * heart, np.maximum(0.55 * hilum, (0.4 + 0.3 * findings.mediastinum) * arch))
    air = air * (1 - filled)
    markings = anatomy.vessels * (1 + 0.8 * findings.edema) * vessels * air
    picture = soft_tissue(frame, anatomy) - AIR * air + AIR * markings + bones(frame, anatomy) + 0.05 * heart
    line: Line = (np.array([(-0.2, -1.05), (-0.12, -0.6), (-0.06, -0.3), (-0.05, 0.0)]), 0.016)
    result: Field = picture + 0.25 * strokes(frame, [line]) if findings.catheter else picture
    return result
