"""The FFHQ frame: geometry by exact cases, the search for faces with and without its model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxinv.io import face_alignment, face_detection, face_frame, face_search, image_ops, images
from tests.weights import SHARED

ROOT = Path(__file__).resolve().parents[2]
ASTRONAUT = ROOT / "notebooks" / "photos" / "astronaut.png"
FACES = SHARED / "data" / "faces"


def framed_landmarks(side: float = 200.0, centre: tuple[float, float] = (300, 250)) -> np.ndarray:
    """Five landmarks whose FFHQ quad is the upright square of this side about this centre."""
    # Eyes 1/4 of the side apart and the mouth 0.2 below: 2 * 1/4 > 1.8 * 0.2 gives the half side.
    eye_x, down = side / 8, 0.2 * side
    top = -0.1 * down
    points = [[-eye_x, top], [eye_x, top], [0, 0], [-9, top + down], [9, top + down]]
    scale = (side / 2) / (2 * 2 * eye_x)
    return scale * np.array(points) + np.array(centre) - 0.5


def sixty_eight(five: np.ndarray) -> np.ndarray:
    """The same face with 68 landmarks, the unused ones far off."""
    points = np.full((68, 2), -1000.0)
    ring = np.array([[2, 0], [-2, 0], [0, 1], [0, -1], [1, 1], [-1, -1]])
    points[36:42], points[42:48] = five[0] + ring, five[1] + ring
    points[48], points[54] = five[3], five[4]
    return points


def square(x: float, y: float, side: float) -> np.ndarray:
    return image_ops.box_quad(x - side / 2, y - side / 2, side, side)


def turned(points: np.ndarray, degrees: float, about: tuple[float, float]) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (points - about) @ np.array([[c, s], [-s, c]]) + about


def waves(height: int, width: int) -> np.ndarray:
    """A smooth picture, float32 [height, width, 3] in [-1, 1], defined at any point by `at`."""
    y, x = np.indices((height, width))
    return at(x + 0.5, y + 0.5)


def at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(x / 40), np.cos(y / 30), np.sin((x + y) / 50)], -1).astype(np.float32)


# -- the quad --------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [lambda five: five, sixty_eight])
def test_quad_of_an_upright_face_is_an_upright_square(more):
    quad = face_frame.ffhq_quad(more(framed_landmarks()))
    assert np.allclose(quad, square(300, 250, 200))
    assert np.isclose(image_ops.quad_side(quad), 200)


@pytest.mark.parametrize("degrees", [-70, 25, 180])
def test_quad_follows_a_turned_face(degrees: float):
    five = framed_landmarks()
    quad = face_frame.ffhq_quad(turned(five + 0.5, degrees, (300, 250)) - 0.5)
    assert np.allclose(quad, turned(square(300, 250, 200), degrees, (300, 250)))


def test_long_faces_are_scaled_by_the_mouth():
    five = framed_landmarks()
    five[3:] += [0, 40]  # eyes 50 px apart as before, mouth 80 px below them
    assert np.isclose(image_ops.quad_side(face_frame.ffhq_quad(five)), 2 * 1.8 * 80)


def test_impossible_landmarks_are_refused():
    with pytest.raises(face_frame.AlignError, match="coincide"):
        face_frame.ffhq_quad(np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"\[7, 2\]"):
        face_frame.ffhq_quad(np.ones((7, 2)))


@pytest.mark.parametrize(
    ("side", "size"), [(10, 64), (64, 64), (65, 128), (174, 256), (1025, 1024), (3000, 1024)]
)
def test_crop_size_is_a_power_of_two_that_holds_the_face(side: float, size: int):
    assert face_frame.crop_size(square(0, 0, side)) == size


def test_framed_tolerates_a_few_hundredths_of_the_side():
    side = 400
    five = framed_landmarks(side, (200, 200))
    assert face_frame.is_framed(five, (side, side))
    assert face_frame.is_framed(five + np.array([0.07 * side, 0]), (side, side))
    assert not face_frame.is_framed(five + np.array([0.09 * side, 0]), (side, side))
    assert not face_frame.is_framed(five, (side, side + 100))
    assert not face_frame.is_framed(turned(five, 90, (200, 200)), (side, side))


# -- the crop --------------------------------------------------------------------------------------


def test_crop_of_whole_pixels_is_exact():
    picture = waves(90, 120)
    cut, mask = image_ops.crop(picture, image_ops.box_quad(20, 10, 64, 64), 64)
    assert mask is None
    assert np.allclose(cut, picture[10:74, 20:84], atol=1e-6)
    halves, _ = image_ops.crop(picture, image_ops.box_quad(20, 10, 64, 64), 32)
    assert np.allclose(halves, image_ops.shrink(picture[10:74, 20:84], 32, 32), atol=2e-3)


@pytest.mark.parametrize("side", [40.0, 100.0, 310.0])
@pytest.mark.parametrize("degrees", [0, 33, 140])
def test_crop_shows_the_picture_at_the_points_of_the_quad(side: float, degrees: float):
    quad = turned(square(250.3, 240.8, side), degrees, (250.3, 240.8))
    cut, mask = image_ops.crop(waves(500, 500), quad, 64)
    assert mask is None
    u = ((np.arange(64) + 0.5) / 64)[None, :, None]
    points = quad[0] + u * (quad[3] - quad[0]) + u.swapaxes(0, 1) * (quad[1] - quad[0])
    assert np.abs(cut - at(points[..., 0], points[..., 1])).max() < 0.02


def test_crop_does_not_alias():
    stripes = np.where(np.arange(512) % 2, 1.0, -1.0)[None, :, None].repeat(512, 0).repeat(3, 2)
    for quad in (square(256, 256, 480), turned(square(256, 256, 330), 10, (256, 256))):
        cut, _ = image_ops.crop(stripes.astype(np.float32), quad, 64)
        assert np.abs(cut).max() < 0.1


def test_bytes_and_floats_give_the_same_crop():
    picture = images.to_uint8(waves(200, 200))
    quad = turned(square(100, 100, 90), 20, (100, 100))
    assert np.allclose(
        image_ops.crop(picture, quad, 64)[0],
        image_ops.crop(images.from_uint8(picture), quad, 64)[0],
    )


def test_crop_beyond_the_edge_is_mirrored_faded_and_masked():
    picture = waves(120, 120)
    cut, mask = image_ops.crop(picture, image_ops.box_quad(-60, 0, 120, 120), 120)
    assert mask is not None
    assert np.array_equal(mask, np.repeat([[0.0] * 60 + [1.0] * 60], 120, axis=0))
    assert np.allclose(cut[:, 60:], picture[:, :60], atol=1e-6)
    assert np.abs(cut[:, 55:60] - picture[:, 5:0:-1]).max() < 0.3  # mirrored next to the edge
    median = np.median(picture[:, :62], axis=(0, 1))
    assert np.abs(cut[:, 0] - median).max() < 0.02  # one colour far from it
    assert np.abs(np.diff(cut, axis=1)).max() < 0.2  # and no seam


def test_crop_of_a_part_of_a_pixel_has_a_partial_mask():
    _, mask = image_ops.crop(waves(64, 64), image_ops.box_quad(-1, 0, 64, 64), 32)
    assert mask is not None
    assert np.allclose(mask[:, 0], 0.5)
    assert (mask[:, 1:] == 1).all()


@pytest.mark.parametrize(
    ("quad", "reason"),
    [
        (square(500, 50, 100), "outside the image of 100x100"),
        (square(50, 50, 500), "over 4 times"),
        (np.full((4, 2), np.nan), "outside"),
    ],
)
def test_crop_refuses_frames_that_are_elsewhere(quad: np.ndarray, reason: str):
    with pytest.raises(ValueError, match=reason):
        image_ops.crop(waves(100, 100), quad, 64)


# -- modes, with faces given instead of found ------------------------------------------------------


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The faces that the detector is made to report."""
    faces: list[np.ndarray] = []
    again = lambda *_, **__: [face_detection.Face(face, 2.0) for face in faces]  # noqa: E731
    monkeypatch.setattr(face_search, "landmarks_from_dlib", lambda image: faces)
    monkeypatch.setattr(face_search, "faces_within", again)
    return faces


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    path = tmp_path / "person.png"
    Image.fromarray(images.to_uint8(waves(500, 600))).save(path)
    return path


def test_auto_cuts_the_largest_face_and_mentions_the_others(found, photo_file):
    found += [framed_landmarks(), framed_landmarks(90, (100, 100))]
    photo = images.read_photo(photo_file, align="auto")
    assert photo.pixels.shape == (256, 256, 3)
    assert photo.mask is None
    assert photo.warnings == ("2 faces found: the largest one is used",)
    assert photo.transform is not None
    assert np.allclose(photo.transform.pop("quad"), square(300, 250, 200))
    assert photo.transform == {"kind": "align", "source_size": [600, 500], "size": 256}
    wanted, _ = image_ops.crop(waves(500, 600), square(300, 250, 200), 256)
    assert np.abs(photo.pixels - wanted).max() < 0.01


def test_auto_warns_when_a_small_face_is_enlarged(found, photo_file):
    found.append(framed_landmarks())
    assert images.read_photo(photo_file, align="auto", size=128).warnings == ()
    large = images.read_photo(photo_file, align="auto", size=512)
    assert large.pixels.shape == (512, 512, 3)
    assert large.warnings == ("the face measures 200 px: enlarged to 512 px",)


def test_auto_leaves_framed_photos_alone(found, photo_file):
    found.append(framed_landmarks(500, (250, 250)))
    picture = images.to_uint8(waves(500, 500))
    Image.fromarray(picture).save(photo_file)
    photo = images.read_photo(photo_file, align="auto")
    assert photo.warnings == ()
    assert np.array_equal(images.to_uint8(photo.pixels), picture)
    assert photo.transform is not None
    assert photo.transform["kind"] == "whole"


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_framed_photos_turned_by_quarters_are_only_turned_back(quarter: int, found, photo_file):
    found.append(turned(framed_landmarks(512, (256, 256)) + 0.5, -90 * quarter, (256, 256)) - 0.5)
    picture = images.to_uint8(waves(512, 512))
    Image.fromarray(np.rot90(picture, quarter)).save(photo_file)
    photo = images.read_photo(photo_file, align="auto")
    assert np.array_equal(images.to_uint8(photo.pixels), picture)
    assert photo.mask is None


def test_auto_warns_loudly_when_there_is_no_face(found, photo_file):
    photo = images.read_photo(photo_file, align="auto")
    assert photo.warnings == (face_search.NO_FACE, "600x500 px cut to its central square")


def test_padding_and_alpha_share_the_mask(found, tmp_path):
    found.append(framed_landmarks(200, (60, 100)))
    picture = np.dstack([images.to_uint8(waves(200, 200)), np.full((200, 200), 255, np.uint8)])
    picture[100:, :, 3] = 0
    Image.fromarray(picture).save(tmp_path / "cut.png")
    mask = images.read_photo(tmp_path / "cut.png", align="auto", size=200).mask
    assert mask is not None
    assert mask[:99, 41:].min() == 1
    assert mask[:, :39].max() == 0
    assert mask[101:].max() == 0


@pytest.mark.parametrize("key", ["name", "path"])
@pytest.mark.parametrize("more", [lambda five: five, sixty_eight])
def test_landmarks_from_a_file(key: str, more, photo_file, tmp_path):
    entry = more(framed_landmarks()).tolist()
    listed = tmp_path / "landmarks.json"
    listed.write_text(json.dumps({photo_file.name if key == "name" else str(photo_file): entry}))
    photo = images.read_photo(photo_file, align=str(listed))
    assert photo.transform is not None
    assert np.allclose(photo.transform["quad"], square(300, 250, 200))
    other = tmp_path / "other.png"
    other.write_bytes(photo_file.read_bytes())
    with pytest.raises(images.ImageError, match="no landmarks for it") as info:
        images.read_photo(other, align=str(listed))
    assert info.value.file == str(other)


def test_landmarks_outside_the_photo_are_this_photos_error(photo_file, tmp_path):
    listed = tmp_path / "landmarks.json"
    listed.write_text(json.dumps({photo_file.name: (framed_landmarks() + 5000).tolist()}))
    with pytest.raises(images.ImageError, match="outside the image of 600x500"):
        images.read_photo(photo_file, align=str(listed))


def test_a_changed_landmarks_file_is_read_again(photo_file, tmp_path):
    listed = tmp_path / "landmarks.json"
    for side in (200, 100.5):
        listed.write_text(json.dumps({photo_file.name: framed_landmarks(side).tolist()}))
        transform = images.read_photo(photo_file, align=str(listed)).transform
        assert transform is not None
        assert np.isclose(image_ops.quad_side(np.array(transform["quad"])), side)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"a.png": [[1, 2], [3, 4]]}', r"'a.png'.*68 or 5.*\[2, 2\]"),
        ('{"a.png": "face"}', r"'a.png'.*something else"),
        ('{"a.png": [[1, 2], [3]]}', "'a.png'"),
        ('{"a.png": [[1, 2], [3, 4], [5, 6], [7, 8], [9, NaN]]}', "NaN.*finite"),
    ],
)
def test_malformed_landmarks_file_stops_at_once(text: str, reason: str, photo_file, tmp_path):
    listed = tmp_path / "landmarks.json"
    listed.write_text(text)
    with pytest.raises(ValueError, match=reason) as info:
        images.read_photo(photo_file, align=str(listed))
    assert not isinstance(info.value, images.ImageError)
    with pytest.raises(ValueError, match=reason):
        images.read_photo(tmp_path / "missing.png", align=str(listed))


def test_unknown_mode_names_the_allowed_ones(photo_file):
    with pytest.raises(ValueError, match=r"'none', 'auto' or a JSON file.*'always'") as info:
        images.read_photo(photo_file, align="always")
    assert not isinstance(info.value, images.ImageError)


# -- what is not installed -------------------------------------------------------------------------


def test_without_dlib_the_photo_is_kept_with_a_loud_warning(photo_file, monkeypatch):
    face_detection._dlib.cache_clear()
    monkeypatch.setitem(sys.modules, "dlib", None)
    photo = images.read_photo(photo_file, align="auto")
    assert "NOT aligned" in photo.warnings[0]
    assert "jaxinv[align]" in photo.warnings[0]
    assert photo.pixels.shape == (500, 500, 3)
    with pytest.raises(face_detection.AlignerMissing, match="jaxinv"):
        face_detection.landmarks_from_dlib(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("content", [None, b"not a model"])
def test_without_its_model_the_photo_is_kept_with_a_loud_warning(
    content: bytes | None, photo_file, monkeypatch, tmp_path
):
    pytest.importorskip("dlib", reason="needs jaxinv[align]")
    face_detection._dlib.cache_clear()
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    if content is not None:
        face_detection.landmark_path().write_bytes(content)
    photo = images.read_photo(photo_file, align="auto")
    assert "NOT aligned" in photo.warnings[0]
    assert "jaxinv pull landmarks" in photo.warnings[0]


# -- real faces ------------------------------------------------------------------------------------


@pytest.fixture
def detector() -> None:
    pytest.importorskip("dlib", reason="needs jaxinv[align]")
    if not face_detection.landmark_path().is_file():
        pytest.skip("needs the landmark file: jaxinv pull landmarks")


@pytest.mark.usefixtures("detector")
def test_astronaut_is_cut_to_the_frame():
    photo = images.read_photo(ASTRONAUT, align="auto")
    assert photo.pixels.shape == (256, 256, 3)
    assert photo.mask is None
    assert photo.warnings == ()  # the detector's second face is part of a space suit
    assert photo.transform is not None
    quad = np.array(photo.transform["quad"])
    assert abs(image_ops.quad_side(quad) - 174) < 3
    assert np.linalg.norm(quad.mean(0) - (225, 107)) < 5
    (face,) = face_detection.landmarks_from_dlib(images.to_uint8(photo.pixels))
    assert face_frame.is_framed(face, (256, 256))


@pytest.mark.usefixtures("detector")
def test_photo_without_a_face():
    empty = images.to_uint8(waves(300, 300))
    assert face_detection.landmarks_from_dlib(empty) == []
    assert face_alignment.align_photo(empty, "auto")[3] == (face_search.NO_FACE,)


@pytest.mark.usefixtures("detector")
def test_pictures_of_ffhq_generators_are_left_as_they_are(monkeypatch):
    files = sorted(FACES.glob("*.jpg"))
    if not files:
        pytest.skip("needs the pictures of shared/data/faces (set JAXINV_SHARED)")
    away, find = [], face_detection.landmarks_from_dlib

    def measured(image: np.ndarray) -> list[np.ndarray]:
        faces, n = find(image), len(image)
        corners = image_ops.box_quad(0, 0, n, n)
        away.append(np.linalg.norm(face_frame.ffhq_quad(faces[0]) - corners, axis=1).max() / n)
        return faces

    monkeypatch.setattr(face_search, "landmarks_from_dlib", measured)
    transforms = [images.read_photo(file, align="auto").transform for file in files]
    assert [t and t["kind"] for t in transforms] == ["whole"] * 48
    assert max(away) < 0.75 * face_frame.FRAMED_TOLERANCE
    assert np.median(away) < 0.012
