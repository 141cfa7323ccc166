"""Which face of a photo to cut out: upright or turned, and whether it is one at all.

A face counts where the detector finds it again in its own upright cut, with landmarks that span the
same frame. The photo is searched as it is first. Only where that gives no sure face is it searched
turned as well: by quarter turns, then halfway between them.
"""

# scipy annotates its arguments only in part.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from jaxinv.io.face_detection import faces_within, landmarks_from_dlib, smaller
from jaxinv.io.face_frame import ffhq_quad, quad_distance
from jaxinv.io.image_ops import quad_side, turned_box

_AS_IT_IS = (
    "the photo is used as it is, and the result will be poor unless the image is already framed"
    " like the generator's training images"
)
NO_FACE = f"no face found: {_AS_IT_IS}"
NO_SURE_FACE = (
    "what looks like a face is none, or its landmarks are wrong (they are not found again in its"
    f" own cut): {_AS_IT_IS}"
)
SMOOTHED = (3, 5)  # sides of means over pixels: noise hides faces from the detector
# Largest distance between the frame of a face and the frame found again in its cut, in sides of the
# frame. Faces that look ahead or sideways measure 0.004..0.043, what is no face 0.057 and more.
AGREES = 0.05
# Least score of the detector in the cut at which no other orientation is looked at. Faces that look
# ahead score 1.3..4.2, those that look sideways 0.0..2.8, what is none up to 0.9.
SURE = 1.0
# How much more than any face of the photo as it is (0 without one) a turned face must score.
BETTER = 0.5
PASSES = 4  # over a cut; all but the last may move the frame
TURNS = ((90, 270, 180), (45, 135, 225, 315))  # degrees; the second ones if the first find nothing
TURNED = 5  # degrees; a face that is turned by less is called upright
_CUT, _MARGIN = 256, 1.4  # px of the cut that is looked at again; its side, in sides of the frame
_TURNED_SIDE = 1024  # longest side, in px, of the photo in which turned faces are looked for


class _Seen(NamedTuple):
    """Landmarks of a face, its score in its own cut, and whether they were moved there."""

    landmarks: np.ndarray
    score: float
    moved: bool


def find_face(image: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Landmarks [68, 2] of the face to cut out of uint8 [h, w, 3], and what the user should know.

    It is the largest face of the photo as it is that is found again in its cut, unless none of them
    is sure and the photo shows a better one when it is turned.

    Raises:
        AlignerMissing: dlib or its landmark file is not installed.
    """
    version, faces = _upright_faces(image)
    seen = [one for one in (_again(version, landmarks) for landmarks in faces) if one is not None]
    surest = max((one.score for one in seen), default=0.0)
    turned = None if surest >= SURE else _turned_face(image, surest + BETTER)
    best = turned or next(iter(seen), None)
    if best is None:
        return None, (NO_SURE_FACE if faces else NO_FACE,)
    notes = ()
    if turned is None and len(seen) > 1:
        notes = (f"{len(seen)} faces found: the largest one is used",)
    if turned is not None or best.moved:
        notes += (_found_again(best.landmarks),)
    return best.landmarks, notes


def sure_faces(image: np.ndarray) -> list[np.ndarray]:
    """Landmarks [68, 2] of every face of uint8 [h, w, 3] that is one, largest face first.

    Those of the photo as it is, or, if it shows none, the one that it shows when it is turned.
    Raises `AlignerMissing` where dlib or its landmark file is not installed.
    """
    version, faces = _upright_faces(image)
    seen = [one for one in (_again(version, landmarks) for landmarks in faces) if one is not None]
    turned = None if seen else _turned_face(image, BETTER)
    return [one.landmarks for one in (seen or filter(None, [turned]))]


def _upright_faces(image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The first version of the photo that shows faces, and their landmarks, largest face first."""
    for version in _versions(image):
        faces = landmarks_from_dlib(version)
        if faces:
            return version, faces
    return image, []


def _versions(image: np.ndarray) -> Iterator[np.ndarray]:
    """The image, then ever smoother."""
    yield image
    for side in SMOOTHED:
        smooth: Any = uniform_filter(image, side, axes=(0, 1))
        yield smooth


def _turned_face(image: np.ndarray, least: float) -> _Seen | None:
    """The largest face of score `least` or more that the photo shows when it is turned."""
    small, factor = smaller(image, _TURNED_SIDE)
    height, width = small.shape[:2]
    for version in _versions(small):
        for turns in TURNS:
            views = [turned_box(width, height, degrees) for degrees in turns]
            faces = [face for view in views for face in faces_within(version, *view, enlarge=1)]
            seen = (_again(version, face.landmarks) for face in faces)
            good = [one for one in seen if one is not None and one.score >= least]
            if good:
                best = max(good, key=lambda one: quad_side(ffhq_quad(one.landmarks)))
                return best._replace(landmarks=(best.landmarks + 0.5) * factor - 0.5)
    return None


def _again(image: np.ndarray, landmarks: np.ndarray) -> _Seen | None:
    """The face as it is found in its own cut, moved until both agree; None if they never do."""
    moved = False
    for _ in range(PASSES):
        quad = ffhq_quad(landmarks)
        view = quad.mean(0) + _MARGIN * (quad - quad.mean(0))
        found = faces_within(image, view, (_CUT, _CUT), enlarge=0, least=-0.5)
        if not found:
            return None
        apart = [quad_distance(ffhq_quad(face.landmarks), quad) for face in found]
        nearest = found[int(np.argmin(apart))]
        if min(apart) <= AGREES:
            return _Seen(landmarks, nearest.score, moved)
        landmarks, moved = nearest.landmarks, True
    return None


def _found_again(landmarks: np.ndarray) -> str:
    """Says that a face was found again in its own cut, and how far it is turned, if it is."""
    quad = ffhq_quad(landmarks)
    x, y = quad[3] - quad[0]
    degrees = round(float(np.degrees(np.arctan2(y, x))))
    way = f"{'counter' if degrees < 0 else ''}clockwise"
    turned = f" is turned by {abs(degrees)} degrees {way} and" if abs(degrees) >= TURNED else ""
    return f"the face{turned} was found again in its own cut, whose landmarks are used"
