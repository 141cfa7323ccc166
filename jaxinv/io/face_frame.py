"""The frame of the FFHQ data set about a face: geometry of landmarks.

Landmarks count pixel centres as integers (as dlib does); quads count pixel edges, so that the whole
of a w x h image is the quad (0, 0), (0, h), (w, h), (w, 0): top-left, bottom-left, bottom-right,
top-right.
"""

from __future__ import annotations

import numpy as np

from jaxinv.io.image_ops import box_quad, quad_side

# Largest distance between a corner of the quad and its corner of the image, in image sides, at
# which a picture counts as framed already: 48 pictures of FFHQ generators measure 0.003..0.051 (46
# of them under 0.022), a head-and-shoulders portrait 0.73 (tests/io/test_face_alignment.py).
FRAMED_TOLERANCE = 0.08


class AlignError(ValueError):
    """This one photo cannot be aligned: its landmarks are missing, unusable or elsewhere."""


def ffhq_quad(landmarks: np.ndarray) -> np.ndarray:
    """Corners of the FFHQ crop of a face with 68 (or 5) landmarks, [68, 2] -> float64 [4, 2].

    The frame is a turned square: its x axis is the eye-to-eye vector minus the eye-to-mouth vector
    turned by a right angle, its half side the larger of 2 eye distances and 1.8 eye-to-mouth
    distances, its centre a tenth of the way from the eyes to the mouth
    (Karras et al. 2019, "A style-based generator architecture", appendix A).

    Raises:
        AlignError: the landmarks coincide, so that they span no frame.
    """
    left, right, mouth = _anchors(np.asarray(landmarks, np.float64))
    eyes = (left + right) / 2
    across, down = right - left, mouth - eyes
    x = across - np.array([-down[1], down[0]])
    length = float(np.hypot(*x))
    if not length > 1e-6:
        raise AlignError("the landmarks of the eyes and the mouth coincide: they span no frame")
    x *= max(2.0 * float(np.hypot(*across)), 1.8 * float(np.hypot(*down))) / length
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * down + 0.5  # from pixel centres to pixel edges
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def crop_size(quad: np.ndarray) -> int:
    """Side of the crop of a quad: its own side rounded up to a power of two in 64..1024."""
    side = quad_side(quad)
    return next((2**k for k in range(6, 10) if 2**k >= side), 1024)


def quad_distance(quad: np.ndarray, other: np.ndarray) -> float:
    """Largest distance between corners of two quads [4, 2], in sides of the second one."""
    return float(np.linalg.norm(quad - other, axis=1).max()) / quad_side(other)


def framed_corners(landmarks: np.ndarray, image_size: tuple[int, int]) -> np.ndarray | None:
    """Corners of the image (width, height), if it is the FFHQ crop of the face of these landmarks.

    They are in the order of a quad [4, 2] for the face, so that the first one is the image's own
    top-left corner unless the image is turned by quarter turns. None where a corner of the FFHQ
    quad lies farther than `FRAMED_TOLERANCE` sides from its corner of the image.
    """
    width, height = image_size
    quad, corners = ffhq_quad(landmarks), box_quad(0, 0, width, height)
    turned = [np.roll(corners, quarter, axis=0) for quarter in range(4)]
    away = [np.linalg.norm(quad - one, axis=1).max() for one in turned]
    nearest = int(np.argmin(away))
    return turned[nearest] if away[nearest] <= FRAMED_TOLERANCE * min(width, height) else None


def is_framed(landmarks: np.ndarray, image_size: tuple[int, int]) -> bool:
    """Whether the image (width, height) is already the upright FFHQ crop of this face."""
    corners = framed_corners(landmarks, image_size)
    return corners is not None and not corners[0].any()


def _anchors(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left eye, right eye and middle of the mouth of 68 or 5 landmarks."""
    if points.shape == (68, 2):
        return points[36:42].mean(0), points[42:48].mean(0), (points[48] + points[54]) / 2
    if points.shape == (5, 2):
        return points[0], points[1], (points[3] + points[4]) / 2
    raise ValueError(f"landmarks must have shape [68, 2] or [5, 2], got {list(points.shape)}")
