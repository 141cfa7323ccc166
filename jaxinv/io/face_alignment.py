"""Cut the face of a photo out in the frame of the FFHQ data set.

Only arrays live here: files, colour and encodings are `images`. Quads count pixel edges.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxinv.io.face_detection import AlignerMissing
from jaxinv.io.face_frame import AlignError, crop_size, ffhq_quad, framed_corners, is_framed
from jaxinv.io.face_search import find_face
from jaxinv.io.files import BadFile, read_bytes
from jaxinv.io.image_ops import CropError, crop, quad_side, to_uint8
from jaxinv.specs.checks import check_place
from jaxinv.specs.serialization import parse_json

MOST_LANDMARKS = 2**27  # bytes of a file of them


def align_photo(
    pixels: np.ndarray,
    mode: str,
    *,
    name: str = "",
    size: int | None = None,
    alpha: np.ndarray | None = None,
    source_size: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any] | None, tuple[str, ...]]:
    """Cut the largest face out of an upright photo [h, w, 3], or leave the photo as it is.

    `mode` is "none", "auto" (look for faces, leave framed photos alone) or the path of a JSON file
    of landmarks, in which the photo is entered as `name`. Landmarks and the returned quad are in
    pixels of the file, whose (width, height) is `source_size` where `pixels` have another.
    Returns pixels, mask (alpha and padding), the crop's transform (None if nothing was cut) and
    warnings. `size` is `crop_size` by default.

    Raises:
        AlignError: this photo has no entry in the file, or landmarks that do not fit it.
        ValueError: the file of landmarks is missing or malformed.
    """
    if mode == "none":
        return pixels, alpha, None, ()
    size_here = pixels.shape[1], pixels.shape[0]
    share = np.divide(size_here, source_size or size_here)
    quad, notes = _search(pixels) if mode == "auto" else (ffhq_quad(_given(mode, name) * share), ())
    if quad is None:
        return pixels, alpha, None, notes
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
    transform = {"kind": "align", "quad": (quad / share).tolist()}
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
        data = read_bytes(path, MOST_LANDMARKS)
    except BadFile as error:
        raise ValueError(
            f"align must be 'none', 'auto' or a JSON file of landmarks; {str(path)!r} cannot be"
            f" read: {error}"
        ) from error
    entries = parse_json(data, f"landmarks file {str(path)!r}")
    if not isinstance(entries, dict):
        raise ValueError(f"landmarks file {str(path)!r} must be an object of file names to points")
    return {name: _entry(str(path), name, points) for name, points in entries.items()}


def _entry(path: str, name: str, points: object) -> np.ndarray:
    """Check one entry of a landmarks file: float64 [68 or 5, 2], finite."""
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError, OverflowError):
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
    """The quad to cut out, if one is to be cut out, and the warnings."""
    try:
        landmarks, notes = find_face(to_uint8(pixels))
    except AlignerMissing as error:
        return None, (f"the photo was NOT aligned: {error}",)
    if landmarks is None:
        return None, notes
    image_size = (pixels.shape[1], pixels.shape[0])
    if is_framed(landmarks, image_size):
        return None, ()
    corners = framed_corners(landmarks, image_size)
    return ffhq_quad(landmarks) if corners is None else corners, notes
