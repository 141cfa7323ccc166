"""What 68 landmarks of a face say: where it looks, and how far its eyes and mouth are open.

Landmarks are float [68, 2], x and y in px, in the order of iBUG 300-W.
"""

from __future__ import annotations

import numpy as np

# A rough head, in any unit: nose tip, chin, outer eye corners, mouth corners (left of the picture
# first). x goes right, y down, z away from the viewer.
POINTS = (30, 8, 36, 45, 48, 54)
HEAD = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.0, 330.0, 65.0],
        [-225.0, -170.0, 135.0],
        [225.0, -170.0, 135.0],
        [-150.0, 150.0, 125.0],
        [150.0, 150.0, 125.0],
    ]
)
EYES = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))


def head_angles(landmarks: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees: positive is towards the right, down, and clockwise.

    The rotation whose parallel projection of a rough head comes closest to six landmarks; angles of
    persons differ by some degrees with the form of their heads.
    """
    seen = landmarks[list(POINTS)]
    head = HEAD - HEAD.mean(0)
    rows = np.linalg.lstsq(head, seen - seen.mean(0), rcond=None)[0].T
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    x, y = left @ right  # the nearest two rows of a rotation
    z = np.cross(x, y)
    turned = np.stack([x, y, z])
    facing = -turned[:, 2]  # where the nose points to
    yaw = np.arcsin(np.clip(facing[0], -1, 1))
    pitch = np.arctan2(facing[1], -facing[2])
    roll = np.arctan2(turned[1, 0], turned[0, 0])
    yaw, pitch, roll = np.degrees([yaw, pitch, roll])
    return float(yaw), float(pitch), float(roll)


def eyes_open(landmarks: np.ndarray) -> float:
    """Height of the eyes over their width, mean of both (Soukupová & Čech 2016, equation 1)."""
    found = []
    for eye in EYES:
        p = landmarks[list(eye)]
        height = np.linalg.norm(p[1] - p[5]) + np.linalg.norm(p[2] - p[4])
        found.append(height / (2 * np.linalg.norm(p[0] - p[3])))
    return float(np.mean(found))


def mouth_open(landmarks: np.ndarray) -> float:
    """Height of the gap between the lips over the width of the mouth."""
    gap = np.linalg.norm(landmarks[62] - landmarks[66])
    return float(gap / np.linalg.norm(landmarks[54] - landmarks[48]))


def smile(landmarks: np.ndarray) -> float:
    """Width of the mouth over the distance of the eyes' centres: a smile widens it."""
    left, right = (landmarks[list(eye)].mean(0) for eye in EYES)
    return float(np.linalg.norm(landmarks[54] - landmarks[48]) / np.linalg.norm(right - left))
