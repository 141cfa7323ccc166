"""The distance between persons: none for one picture, large between two, unknown with no face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxinv.io import face_detection, images
from jaxinv.metrics.identity import identity, measurable
from tests.weights import SHARED, need

FACES = SHARED / "data" / "faces"
NAMES = ("74.jpg", "158.jpg")


def faces() -> np.ndarray:
    """Two persons, uint8 [2, 256, 256, 3]."""
    files = [FACES / name for name in NAMES]
    if not all(file.is_file() for file in files):
        pytest.skip("needs pictures of faces")
    photos = (images.read_photo(file, size=256, align="none") for file in files)
    return images.to_uint8(np.stack([photo.pixels for photo in photos]))


def test_one_picture_is_one_person_and_two_are_two() -> None:
    pytest.importorskip("dlib")
    need("landmarks", "identity")
    pair = faces()
    np.testing.assert_array_equal(identity(pair, pair), 0.0)
    apart = identity(pair, pair[::-1])
    assert np.all(apart > 0.6)
    assert apart[0] == pytest.approx(apart[1])
    darker = (0.8 * pair).astype(np.uint8)
    assert np.all(identity(pair, darker) < 0.3)


def test_no_face_has_no_distance() -> None:
    pytest.importorskip("dlib")
    need("landmarks", "identity")
    grey = np.full((1, 64, 64, 3), 128, np.uint8)
    assert np.isnan(identity(grey, grey)).all()


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dlib")
    grey = np.full((1, 64, 64, 3), 128, np.uint8)
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    assert not measurable()
    with pytest.raises(face_detection.AlignerMissing, match="jaxinv pull landmarks"):
        identity(grey, grey)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        identity(np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 3)))
