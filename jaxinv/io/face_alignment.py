"""Find faces and cut them out in the frame of the FFHQ data set.

Only arrays live here: files, colour and encodings are `images`. Landmarks count pixel centres as
integers (as dlib does); quads count pixel edges, so that the whole of a w x h image is the quad
(0, 0), (0, h), (w, h), (w, 0): top-left, bottom-left, bottom-right, top-right.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from jaxinv.io.checkpoints import cache_dir
from jaxinv.io.image_ops import CropError, box_quad, crop, quad_side, shrink, to_uint8
from jaxinv.specs.checks import check_place

LANDMARK_FILE = "shape_predictor_68_face_landmarks.dat"
IDENTITY_FILE = "dlib_face_recognition_resnet_model_v1.dat"
# Largest distance between a corner of the quad and its corner of the image, in image sides, at
# which a picture counts as framed already: 48 pictures of FFHQ generators measure 0.003..0.051 (46
# of them under 0.022), a head-and-shoulders portrait 0.73 (tests/test_align.py measures both).
FRAMED_TOLERANCE = 0.08
NO_FACE = (
    "no face found: the photo is used as it is, and the result will be poor unless the image is"
    " already framed like the generator's training images"
)
SMOOTHED = (3, 5)  # sides of means over pixels: noise hides faces from the detector
_DETECT_SIDES = (1024, 2048)  # longest side given to the detector; the second only if no face yet


class AlignError(ValueError):
    """This one photo cannot be aligned: its landmarks are missing, unusable or elsewhere."""


class AlignerMissing(ValueError):
    """Faces cannot be looked for on this machine; the message says what to install."""


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
        factor = max(1.0, max(image.shape[:2]) / side)
        boxes = [(box, factor) for box in detector(_smaller(image, factor), 1)]
        if boxes or factor == 1.0:
            break
    boxes.sort(key=lambda found: -found[0].area())
    full = np.ascontiguousarray(image)
    return [_points(predictor(full, _scaled(dlib, box, factor))) for box, factor in boxes]


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


def is_framed(landmarks: np.ndarray, image_size: tuple[int, int]) -> bool:
    """Whether the image (width, height) is already the FFHQ crop of the face with these landmarks.

    True when every corner of the FFHQ quad lies within `FRAMED_TOLERANCE` sides of its corner of
    the image.
    """
    width, height = image_size
    corners = box_quad(0, 0, width, height)
    away = np.linalg.norm(ffhq_quad(landmarks) - corners, axis=1).max()
    return bool(away <= FRAMED_TOLERANCE * min(width, height))


def align_photo(
    pixels: np.ndarray,
    mode: str,
    *,
    name: str = "",
    size: int | None = None,
    alpha: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any] | None, tuple[str, ...]]:
    """Cut the largest face out of an upright photo [h, w, 3], or leave the photo as it is.

    `mode` is "none", "auto" (look for faces, leave framed photos alone) or the path of a JSON file
    of landmarks, in which the photo is entered as `name`. Returns pixels, mask (alpha and padding),
    the crop's transform (None if nothing was cut) and warnings. `size` is `crop_size` by default.

    Raises:
        AlignError: this photo has no entry in the file, or landmarks that do not fit it.
        ValueError: the file of landmarks is missing or malformed.
    """
    if mode == "none":
        return pixels, alpha, None, ()
    landmarks, notes = _search(pixels) if mode == "auto" else (_given(mode, name), ())
    if landmarks is None:
        return pixels, alpha, None, notes
    quad = ffhq_quad(landmarks)
    wanted = size or crop_size(quad)
    if wanted > crop_size(quad):
        notes += (f"the face measures {quad_side(quad):.0f} px: enlarged to {wanted} px",)
    layers = pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], axis=-1)
    try:
        cut, mask = crop(layers, quad, wanted)
    except CropError as error:
        raise AlignError(str(error)) from error
    if alpha is not None:
        mask = cut[..., 3] if mask is None else mask * cut[..., 3]
    transform = {"kind": "align", "quad": quad.tolist()}
    return np.ascontiguousarray(cut[..., :3]), mask, transform, notes


def check_mode(mode: str) -> None:
    """Raise ValueError unless `mode` is "none", "auto" or a well-formed file of landmarks."""
    check_place("align", mode)
    if mode not in ("none", "auto"):
        _entries(mode)


def read_landmarks(path: str | Path) -> Mapping[str, np.ndarray]:
    """Read `{"file name": [[x, y], ...]}` with 68 or 5 points each, in upright pixels.

    The five are left eye, right eye, nose, left and right corner of the mouth, left being the
    picture's left.

    Raises:
        ValueError: naming the file and the entry that is wrong.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"align must be 'none', 'auto' or a JSON file of landmarks; {str(path)!r} cannot be"
            f" read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise ValueError(f"landmarks file {str(path)!r} is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError(f"landmarks file {str(path)!r} must be an object of file names to points")
    return {name: _entry(str(path), name, points) for name, points in entries.items()}


def _entry(path: str, name: str, points: object) -> np.ndarray:
    """Check one entry of a landmarks file: float64 [68 or 5, 2], finite."""
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape not in ((68, 2), (5, 2)) or not np.isfinite(array).all():
        raise ValueError(
            f"landmarks file {path!r}, entry {name!r}: must be 68 or 5 finite points [x, y],"
            f" got {'shape ' + str(list(array.shape)) if array.size else 'something else'}"
        )
    return array


@functools.lru_cache(maxsize=4)
def _landmarks_at(path: str, stamp: tuple[int, int]) -> Mapping[str, np.ndarray]:
    """The landmarks file as it was at `stamp`, read once for a whole folder of photos."""
    return read_landmarks(path)


def _entries(path: str) -> Mapping[str, np.ndarray]:
    try:
        stat = Path(path).stat()
    except OSError:
        return read_landmarks(path)  # raises, saying why the file cannot be read
    return _landmarks_at(path, (stat.st_mtime_ns, stat.st_size))


def _given(path: str, name: str) -> np.ndarray:
    """The landmarks entered for a file, under the path as given or the bare file name."""
    entries = _entries(path)
    for key in (name, Path(name).as_posix(), Path(name).name):
        if key in entries:
            return entries[key]
    raise AlignError(f"no landmarks for it in {path!r} (looked for {Path(name).name!r})")


def _search(pixels: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Landmarks of the face to align to, if one is to be aligned, and the warnings."""
    try:
        faces = _faces(to_uint8(pixels))
    except AlignerMissing as error:
        return None, (f"the photo was NOT aligned: {error}",)
    if not faces:
        return None, (NO_FACE,)
    framed = is_framed(faces[0], (pixels.shape[1], pixels.shape[0]))
    notes = () if len(faces) == 1 else (f"{len(faces)} faces found: the largest one is used",)
    return (None, ()) if framed else (faces[0], notes)


def _faces(image: np.ndarray) -> list[np.ndarray]:
    """Landmarks of all faces, looked for in ever smoother versions until there is one."""
    faces = landmarks_from_dlib(image)
    for side in SMOOTHED:
        if not faces:
            smooth: Any = uniform_filter(image, side, axes=(0, 1))
            faces = landmarks_from_dlib(smooth)
    return faces


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


def _smaller(image: np.ndarray, factor: float) -> np.ndarray:
    """The uint8 image at 1/factor of its size."""
    if factor == 1.0:
        return np.ascontiguousarray(image)
    height, width = (max(1, round(n / factor)) for n in image.shape[:2])
    return (shrink(image, height, width) + 0.5).astype(np.uint8)


def _scaled(dlib: Any, box: Any, factor: float) -> Any:
    sides = (box.left(), box.top(), box.right(), box.bottom())
    return dlib.rectangle(*(round(side * factor) for side in sides))


def _points(shape: Any) -> np.ndarray:
    return np.array([(point.x, point.y) for point in shape.parts()], np.float64)


def _anchors(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left eye, right eye and middle of the mouth of 68 or 5 landmarks."""
    if points.shape == (68, 2):
        return points[36:42].mean(0), points[42:48].mean(0), (points[48] + points[54]) / 2
    if points.shape == (5, 2):
        return points[0], points[1], (points[3] + points[4]) / 2
    raise ValueError(f"landmarks must have shape [68, 2] or [5, 2], got {list(points.shape)}")
