"""Turned and tilted photos, and faces that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxinv
from jaxinv.io import face_detection, face_search, images
from jaxinv.io.face_alignment import align_photo
from jaxinv.io.face_frame import ffhq_quad, quad_distance
from jaxinv.io.image_ops import box_quad, quad_side, turned_box
from tests.benchmarks import turned_photos
from tests.weights import SHARED

ROOT = Path(__file__).resolve().parents[2]
ASTRONAUT = ROOT / "notebooks" / "photos" / "astronaut.png"


@pytest.fixture
def detector() -> None:
    pytest.importorskip("dlib", reason="needs jaxinv[align]")
    if not face_detection.landmark_path().is_file():
        pytest.skip("needs the landmark file: jaxinv pull landmarks")


def portrait() -> Image.Image:
    return Image.open(ASTRONAUT).convert("RGB")


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_a_turned_box_holds_the_picture_and_shares_its_middle(degrees: int):
    quad, (width, height) = turned_box(60, 40, degrees)
    assert np.allclose(quad.mean(0), (30, 20))
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    assert np.allclose(sides, [height, width, height, width])
    across, down = (quad[3] - quad[0]) / width, (quad[1] - quad[0]) / height
    inside = (box_quad(0, 0, 60, 40) - quad[0]) @ np.stack([across, down], axis=1)
    assert (inside > -1e-6).all()
    assert (inside < np.array([width, height]) + 1e-6).all()
    assert np.allclose(across, (np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))))


# -- turned photos ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("detector")
@pytest.mark.parametrize("degrees", [60, 90, 180, 305])
def test_a_turned_portrait_is_cut_upright_and_says_so(degrees: int):
    (case,) = turned_photos.cases([ASTRONAUT], [degrees])
    assert case.away <= turned_photos.NEAR
    (note,) = case.notes
    assert note.startswith("the face is turned by")
    assert degrees == 180 or ("counterclockwise" in note) == (degrees < 180)


@pytest.mark.usefixtures("detector")
def test_a_turned_portrait_in_noise_is_found():
    picture = portrait()
    quad, _ = turned_photos.cut(picture)
    pixels = np.rot90(np.asarray(picture))
    noise = 40 * np.random.default_rng(0).standard_normal(pixels.shape)
    noisy = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
    found, notes = turned_photos.cut(noisy)
    wanted = turned_photos.turned(quad, 90, picture.size, noisy.size)
    assert quad_distance(found, wanted) < 0.08
    assert "turned by" in notes[-1]


@pytest.mark.slow
@pytest.mark.usefixtures("detector")
def test_photos_turned_by_any_angle_are_cut_like_the_upright_ones():
    faces = [SHARED / "data" / "faces" / f"{name}.jpg" for name in ("134", "145")]
    if not all(face.is_file() for face in faces):
        pytest.skip("needs the pictures of shared/data/faces (set JAXINV_SHARED)")
    found = list(turned_photos.cases([ASTRONAUT, *faces]))
    assert len(found) == 3 * 24
    assert turned_photos.near(found) >= 0.95


# -- upright photos --------------------------------------------------------------------------------


@pytest.mark.usefixtures("detector")
def test_an_upright_portrait_is_cut_by_its_first_landmarks(monkeypatch):
    monkeypatch.setattr(face_search, "_turned_face", lambda *_: pytest.fail("looked turned"))
    pixels = np.asarray(portrait())
    quad, notes = turned_photos.cut(portrait())
    assert np.array_equal(quad, ffhq_quad(face_detection.landmarks_from_dlib(pixels)[0]))
    assert notes == ()


@pytest.mark.usefixtures("detector")
@pytest.mark.parametrize(("orientation", "quarter"), [(3, 2), (6, 1), (8, 3)])
def test_the_orientation_of_the_file_comes_first(orientation: int, quarter: int, tmp_path):
    """The pixels lie turned in the file, EXIF says how: nothing is left to be turned."""
    pixels = np.asarray(portrait())
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = Image.fromarray(np.rot90(pixels, quarter))
    lying.save(tmp_path / "lying.png", exif=exif)
    ours = images.read_photo(tmp_path / "lying.png", align="auto")
    usual = images.read_photo(ASTRONAUT, align="auto")
    assert np.array_equal(ours.pixels, usual.pixels)
    assert ours.transform == usual.transform
    assert ours.warnings == usual.warnings


@pytest.mark.usefixtures("detector")
def test_a_large_photo_is_searched_small_but_placed_at_full_size():
    upright = np.asarray(Image.open(ASTRONAUT).convert("RGB"))
    small = ffhq_quad(face_detection.landmarks_from_dlib(upright)[0])
    large = np.asarray(Image.fromarray(upright).resize((2560, 2560)))
    quad = ffhq_quad(face_detection.landmarks_from_dlib(large)[0])
    assert np.abs(quad / 5 - small).max() < 0.03 * quad_side(small)


@pytest.mark.usefixtures("detector")
def test_a_face_in_noise_is_found_where_it_is():
    clear = np.asarray(Image.open(ASTRONAUT).convert("RGB"))
    noise = 40 * np.random.default_rng(0).standard_normal(clear.shape)
    noisy = np.clip(clear + noise, 0, 255).astype(np.uint8)
    assert face_detection.landmarks_from_dlib(noisy) == []
    expected, found = (align_photo(image, "auto")[2] for image in (clear, noisy))
    assert expected
    assert found
    np.testing.assert_allclose(found["quad"], expected["quad"], atol=5)


# -- what is no face, with faces given instead of found --------------------------------------------


def face_at(x: float, y: float, side: float) -> np.ndarray:
    """68 landmarks of an upright face, of which eyes and mouth matter."""
    points = np.full((68, 2), (x, y), np.float64)
    points[36:42] += (-side / 8, -side / 50)
    points[42:48] += (side / 8, -side / 50)
    points[[48, 54]] += (0, 0.18 * side)
    return points


class Detector:
    """`upright` in the photo as it is; in a view about one of `again`: landmarks, with scores."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.upright: list[np.ndarray] = []
        self.again: list[face_detection.Face] = []
        monkeypatch.setattr(face_search, "landmarks_from_dlib", lambda image: self.upright)
        monkeypatch.setattr(face_search, "faces_within", self.within)

    def within(self, image, quad, size, *, enlarge, least=0.0) -> list[face_detection.Face]:
        if enlarge:  # the photo turned
            return []
        low, high = quad.min(0), quad.max(0)
        faces = [one for one in self.again if one.score >= least]
        return [one for one in faces if ((low < one.landmarks) & (one.landmarks < high)).all()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Detector:
    return Detector(monkeypatch)


PHOTO = np.zeros((600, 600, 3), np.uint8)
LARGE, SMALL = face_at(200, 300, 200), face_at(450, 300, 90)


def test_a_face_that_is_not_found_in_its_cut_is_none(fake):
    fake.upright = [LARGE]
    _, _, transform, notes = align_photo(PHOTO, "auto")
    assert transform is None
    assert notes == (face_search.NO_SURE_FACE,)


def test_a_mistaken_larger_face_does_not_hide_a_sure_one(fake):
    fake.upright, fake.again = [LARGE, SMALL], [face_detection.Face(SMALL, 2.0)]
    landmarks, notes = face_search.find_face(PHOTO)
    assert landmarks is SMALL
    assert notes == ()


def test_the_largest_of_two_faces_is_used_even_if_the_other_is_surer(fake):
    fake.upright = [LARGE, SMALL]
    fake.again = [face_detection.Face(LARGE, 0.1), face_detection.Face(SMALL, 2.0)]
    landmarks, notes = face_search.find_face(PHOTO)
    assert landmarks is LARGE
    assert notes == ("2 faces found: the largest one is used",)


@pytest.mark.parametrize("score", [2.0, -0.2])
def test_the_largest_face_is_used_even_if_it_looks_sideways(score: float, fake):
    fake.upright, fake.again = [LARGE], [face_detection.Face(LARGE + 2, score)]
    landmarks, notes = face_search.find_face(PHOTO)
    assert landmarks is LARGE
    assert notes == ()


def test_landmarks_move_to_where_the_cut_shows_them(fake):
    fake.upright, fake.again = [LARGE], [face_detection.Face(LARGE + 30, 2.0)]
    landmarks, notes = face_search.find_face(PHOTO)
    assert landmarks is fake.again[0].landmarks
    (note,) = notes
    assert note == "the face was found again in its own cut, whose landmarks are used"


def test_landmarks_that_never_settle_are_none(fake, monkeypatch):
    steps = iter(range(20, 1000, 20))

    def drifting(*_, enlarge, **__) -> list[face_detection.Face]:
        return [] if enlarge else [face_detection.Face(LARGE + next(steps), 2.0)]

    fake.upright = [LARGE]
    monkeypatch.setattr(face_search, "faces_within", drifting)
    assert face_search.find_face(PHOTO) == (None, (face_search.NO_SURE_FACE,))


# -- warnings for users of Python ------------------------------------------------------------------


def test_read_images_hands_warnings_over(tmp_path):
    Image.fromarray(PHOTO[:500]).save(tmp_path / "wide.png")
    with pytest.warns(jaxinv.PhotoWarning, match=r"wide\.png: 600x500 px cut") as caught:
        batch = jaxinv.read_images([tmp_path], size=64)
    assert batch.shape == (1, 64, 64, 3)
    assert [Path(one.filename) for one in caught] == [Path(__file__)]
