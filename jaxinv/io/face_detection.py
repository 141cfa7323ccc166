"""dlib: where faces are in arrays of pixels, their landmarks, and the descriptor of a face.

Landmarks count pixel centres as integers.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from jaxinv.io.checkpoints import cache_dir
from jaxinv.io.image_ops import box_quad, shrink

P = ParamSpec("P")
T = TypeVar("T")
LANDMARK_FILE = "shape_predictor_68_face_landmarks.dat"
IDENTITY_FILE = "dlib_face_recognition_resnet_model_v1.dat"
_DETECT_SIDES = (1024, 2048)  # longest side given to the detector; the second only if no face yet


_ONE_AT_A_TIME = threading.RLock()  # dlib's detector writes into itself: two threads would crash it


def _alone(fn: Callable[P, T]) -> Callable[P, T]:
    """`fn`, in one thread at a time with all others that are called so."""

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with _ONE_AT_A_TIME:
            return fn(*args, **kwargs)

    return call


class AlignerMissing(ValueError):
    """Faces cannot be looked for on this machine; the message says what to install."""


class Face(NamedTuple):
    """Landmarks [68, 2] of a face and how sure the detector is: 0 is its own limit."""

    landmarks: np.ndarray
    score: float


@_alone
def landmarks_from_dlib(image: np.ndarray) -> list[np.ndarray]:
    """Find the 68 landmarks of every frontal face, largest face first.

    Takes uint8 [h, w, 3] and returns float64 [68, 2] arrays (x, y in pixel centres), none for no
    face. Large photos are searched at no more than 2048 px, landmarks are placed at full size.

    Raises:
        AlignerMissing: dlib or its landmark file is not installed.
    """
    dlib, detector, predictor = face_finder()
    boxes = []
    for side in _DETECT_SIDES:
        small, factor = smaller(image, side)
        boxes = [(box, factor) for box in detector(small, 1)]
        if boxes or factor == 1.0:
            break
    boxes.sort(key=lambda found: -found[0].area())
    full = np.ascontiguousarray(image)
    return [_points(predictor(full, _scaled(dlib, box, factor))) for box, factor in boxes]


@_alone
def faces_within(
    image: np.ndarray,
    quad: np.ndarray,
    size: tuple[int, int],
    *,
    enlarge: int,
    least: float = 0.0,
) -> list[Face]:
    """Faces that are upright within a quad [4, 2] of uint8 [h, w, 3], landmarks in the image.

    The quad, a rectangle that may be turned and leave the image, is drawn at `size` (width,
    height), and enlarged 2^`enlarge` times to find small faces. `least` is the least score.

    Raises:
        AlignerMissing: dlib or its landmark file is not installed.
    """
    dlib, detector, predictor = face_finder()
    drawn, there = (
        dlib.dpoints([dlib.dpoint(*corner) for corner in corners - 0.5])
        for corners in (box_quad(0, 0, *size), quad)
    )
    chip = dlib.chip_details(drawn, there, dlib.chip_dims(size[1], size[0]))
    view = dlib.extract_image_chip(np.ascontiguousarray(image), chip)
    boxes, scores, _ = detector.run(view, enlarge, least)
    across, down = (quad[3] - quad[0]) / size[0], (quad[1] - quad[0]) / size[1]
    points = [_points(predictor(view, box)) + 0.5 for box in boxes]
    places = [quad[0] + p[:, :1] * across + p[:, 1:] * down - 0.5 for p in points]
    return [Face(*found) for found in zip(places, scores, strict=True)]


def smaller(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """A uint8 image whose longest side is at most `side` px, and how often it goes into the old."""
    factor = max(1.0, max(image.shape[:2]) / side)
    if factor == 1.0:
        return np.ascontiguousarray(image), factor
    height, width = (max(1, round(n / factor)) for n in image.shape[:2])
    return (shrink(image, height, width) + 0.5).astype(np.uint8), factor


def landmark_path() -> Path:
    """Path of dlib's 68-point model in the cache folder, whether or not it is there."""
    return cache_dir() / LANDMARK_FILE


def identity_path() -> Path:
    """Path of dlib's face descriptor network in the cache folder, whether or not it is there."""
    return cache_dir() / IDENTITY_FILE


def face_finder() -> tuple[Any, Any, Any]:
    """dlib, its face detector and its landmark predictor; `AlignerMissing` without one of them."""
    return _dlib(str(landmark_path()))


def face_networks() -> tuple[Any, Any, Any]:
    """Face detector, landmark predictor and descriptor network; errors are `descriptor`'s."""
    dlib, detector, predictor = face_finder()
    return detector, predictor, _network(dlib, str(identity_path()))


@_alone
def descriptor(image: np.ndarray) -> np.ndarray | None:
    """Descriptor [128] of the largest frontal face of a uint8 image [h, w, 3]; None for no face.

    Faces of one person lie closer than 0.6 for the network's authors (dlib's
    `dnn_face_recognition_ex`; He et al. 2016 for the network, a ResNet with 29 layers).

    Raises:
        AlignerMissing: dlib, its landmark file or its descriptor network is not installed.
    """
    detector, predictor, network = face_networks()
    boxes = sorted(detector(image, 1), key=lambda box: -box.area())
    if not boxes:
        return None
    return np.array(network.compute_face_descriptor(image, predictor(image, boxes[0])), np.float64)


@functools.lru_cache(maxsize=1)
def _dlib(path: str) -> tuple[Any, Any, Any]:
    """The module, the frontal face detector and the landmark predictor."""
    try:
        import dlib
    except ImportError as error:
        raise AlignerMissing("finding faces needs dlib: pip install 'jaxinv[align]'") from error
    if not Path(path).is_file():
        raise AlignerMissing("finding faces needs a landmark file: run 'jaxinv pull landmarks'")
    module: Any = dlib
    try:
        predictor = module.shape_predictor(path)
    except RuntimeError as error:
        raise AlignerMissing(
            "the landmark file is damaged: delete it and run 'jaxinv pull landmarks'"
        ) from error
    return module, module.get_frontal_face_detector(), predictor


@functools.lru_cache(maxsize=1)
def _network(dlib: Any, path: str) -> Any:
    """The network that turns a face into a descriptor."""
    if not Path(path).is_file():
        raise AlignerMissing("comparing persons needs a network: run 'jaxinv pull identity'")
    try:
        return dlib.face_recognition_model_v1(path)
    except RuntimeError as error:
        raise AlignerMissing(
            "the face descriptor is damaged: delete it and run 'jaxinv pull identity'"
        ) from error


def _scaled(dlib: Any, box: Any, factor: float) -> Any:
    sides = (box.left(), box.top(), box.right(), box.bottom())
    return dlib.rectangle(*(round(side * factor) for side in sides))


def _points(shape: Any) -> np.ndarray:
    return np.array([(point.x, point.y) for point in shape.parts()], np.float64)
