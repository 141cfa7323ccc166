"""Files to arrays and back: every awkward input named in the input policy, and every refusal."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jaxinv.io import decoding, images
from jaxinv.io.image_ops import from_uint8, to_uint8
from jaxinv.io.images import ImageError, read_images, read_photo
from tests import awkward

N = 48


FACE = awkward.smooth_face(N)
COLOUR = from_uint8(FACE)
GREY = from_uint8(np.asarray(Image.fromarray(FACE).convert("L")))[..., None].repeat(3, -1)
DISC = (awkward.alpha_disc(N) / 255).astype(np.float32)


def read(data: bytes, tmp_path: Path, **options) -> images.Photo:
    path = tmp_path / "picture"
    path.write_bytes(data)
    return read_photo(path, **options)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    return awkward.encoded(image, kind, **options)


def off(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference in 8-bit levels."""
    return float(np.abs(got - wanted).max() * 127.5)


# -- what each good file must become: (pixels, largest difference in levels, mask, warning) --------

ON_GREY = DISC[..., None] * COLOUR
GOOD = {f"exif_{turn}.jpg": (COLOUR, 12, None, "") for turn in range(1, 9)} | {
    "grey_misnamed.jpg": (GREY, 0.01, None, ""),
    "grey_alpha.png": (DISC[..., None] * GREY, 0.01, DISC, ""),
    "palette.png": (COLOUR, 14, None, ""),
    "palette_transparent.png": (ON_GREY, 14, DISC, ""),
    "one_bit.png": (None, 0, None, ""),
    "sixteen_bit.png": (GREY, 0.01, None, ""),
    "rgba.png": (ON_GREY, 0.01, DISC, ""),
    "cmyk.jpg": (COLOUR, 12, None, ""),
    "icc.png": (COLOUR, 12, None, ""),
    "icc_broken.jpg": (COLOUR, 12, None, "profile"),
    "folder.png/wide.png": (COLOUR, 0.01, None, "65x48"),
    "animated.gif": (GREY, 0.01, None, "first"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    path = tmp_path_factory.mktemp("awkward")
    return path, awkward.write_awkward_folder(path, FACE)


def test_folder_holds_twenty_good_and_ten_bad_files(folder):
    path, kinds = folder
    found = {p.relative_to(path).as_posix() for p in images.find_images([path])}
    assert found == set(kinds)
    assert sorted(kinds.values()) == ["bad"] * 10 + ["ok"] * 20
    assert {name for name, kind in kinds.items() if kind == "ok"} == set(GOOD)


@pytest.mark.parametrize("name", GOOD)
def test_good_file_is_read_as_what_it_shows(name: str, folder):
    wanted, levels, mask, warning = GOOD[name]
    photo = read_photo(folder[0] / name)
    assert photo.pixels.shape == (N, N, 3)
    assert photo.pixels.dtype == np.float32
    if wanted is None:
        assert set(np.unique(photo.pixels)) == {-1.0, 1.0}
        assert abs(photo.pixels.mean() - GREY.mean()) < 0.03
    else:
        assert off(photo.pixels, wanted) <= levels
    assert (photo.mask is None) == (mask is None)
    if mask is not None and photo.mask is not None:
        assert np.array_equal(photo.mask, mask)
    assert len(photo.warnings) == bool(warning)
    assert warning in "".join(photo.warnings)
    assert photo.sha256 == hashlib.sha256((folder[0] / name).read_bytes()).hexdigest()
    assert photo.file == str(folder[0] / name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.png", "empty"),
        ("text.png", "not an image"),
        ("page.jpg", "not an image"),
        ("truncated.png", "truncated"),
        ("truncated.jpg", "truncated"),
        ("corrupt.png", "cannot be decoded"),
        ("bomb.png", "declares more"),
        ("large_bomb.png", "declares more"),
        ("one_pixel.png", "1x1"),
        ("nan.tif", "non-finite"),
    ],
)
def test_bad_file_is_refused_in_one_line(name: str, reason: str, folder):
    with pytest.raises(ImageError, match=reason) as info:
        read_photo(folder[0] / name)
    assert "\n" not in str(info.value)
    assert name in str(info.value)
    assert info.value.file == str(folder[0] / name)
    assert reason in info.value.reason


def test_read_images_names_every_bad_file(folder):
    with pytest.raises(ImageError) as info:
        read_images([folder[0]])
    bad = [name for name, kind in folder[1].items() if kind == "bad"]
    assert all(name in str(info.value) for name in bad)
    assert "10 of 30 files" in str(info.value)
    assert "rgba" not in str(info.value)


# -- modes and formats that are not in the folder --------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_holds_in_every_format(kind: str, turn: int, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    turned = Image.open(io.BytesIO(awkward.turned_jpeg(FACE, turn)))
    data = encoded(Image.fromarray(np.asarray(turned)), kind, exif=exif.tobytes())
    assert off(read(data, tmp_path).pixels, COLOUR) <= 12


def test_sixteen_bits_are_not_rounded_to_eight(tmp_path):
    values = np.linspace(0, 65535, N * N).reshape(N, N).astype(np.uint16)
    for data in (encoded(Image.fromarray(values)), encoded(Image.fromarray(values), "TIFF")):
        pixels = read(data, tmp_path).pixels
        assert np.allclose(pixels[..., 0], values / 32767.5 - 1, atol=1e-6)
        assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_integers_beyond_sixteen_bits_are_refused(tmp_path):
    values = np.linspace(0, 65535, N * N).reshape(N, N).astype(np.int32)
    pixels = read(encoded(Image.fromarray(values), "TIFF"), tmp_path).pixels
    assert np.allclose(pixels[..., 1], values / 32767.5 - 1, atol=1e-6)
    with pytest.raises(ImageError, match=r"0\.\.131070, must lie in 0\.\.65535"):
        read(encoded(Image.fromarray(values * 2), "TIFF"), tmp_path)
    with pytest.raises(ImageError, match="must lie in"):
        read(encoded(Image.fromarray(values - 1), "TIFF"), tmp_path)


@pytest.mark.parametrize("full", [1.0, 255.0])
def test_float_pixels_are_scaled_by_their_range_and_say_so(full: float, tmp_path):
    values = np.linspace(0, full, N * N, dtype=np.float32).reshape(N, N)
    photo = read(encoded(Image.fromarray(values), "TIFF"), tmp_path)
    assert np.allclose(photo.pixels[..., 0], 2 * values / full - 1, atol=1e-6)
    assert f"0..{full:.0f}" in photo.warnings[0]
    with pytest.raises(ImageError, match="must lie in"):
        read(encoded(Image.fromarray(values * 300), "TIFF"), tmp_path)


def test_sixteen_bit_colour_png_is_read(tmp_path):
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in FACE)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", N, N, 16, 2, 0, 0, 0)),)
    chunks += ((b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    assert off(read(data, tmp_path).pixels, COLOUR) < 0.01


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "BMP", "PPM", "TIFF", "GIF", "MPO"])
def test_every_accepted_format_is_read(kind: str, tmp_path):
    colour = Image.fromarray(FACE)
    options = {"MPO": {"save_all": True, "append_images": [colour], "quality": 95}}
    photo = read(encoded(colour, kind, **options.get(kind, {})), tmp_path)
    assert off(photo.pixels, COLOUR) <= 24
    assert photo.warnings == ()


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "PDF"])
def test_other_formats_are_refused(kind: str, tmp_path):
    with pytest.raises(ImageError, match=r"not an image in a known format \(JPEG, PNG"):
        read(encoded(Image.fromarray(FACE), kind), tmp_path)


def test_heic_gets_a_hint(tmp_path):
    with pytest.raises(ImageError, match="HEIC"):
        read(b"\0\0\0\x18ftypheic" + bytes(100), tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_transparent_colour_key_becomes_a_mask(mode: str, tmp_path):
    picture = Image.fromarray(FACE).convert(mode)
    key = picture.getpixel((7, 9))
    photo = read(encoded(picture, transparency=key), tmp_path)
    assert photo.mask is not None
    assert photo.mask[9, 7] == 0
    assert photo.mask.mean() > 0.5
    assert np.array_equal(photo.pixels[9, 7], np.zeros(3))


def test_background_shows_through_half_transparent_pixels(tmp_path):
    picture = Image.fromarray(FACE).convert("RGBA")
    picture.putalpha(51)
    photo = read(encoded(picture), tmp_path, background=1.0)
    assert photo.mask is not None
    assert np.allclose(photo.mask, 0.2)
    assert np.allclose(photo.pixels, 0.2 * COLOUR + 0.8, atol=1e-6)
    picture.putalpha(0)
    with pytest.raises(ImageError, match="transparent"):
        read(encoded(picture), tmp_path)


def test_profile_of_srgb_changes_nothing(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for pixels in (FACE, FACE[..., [1, 1, 1]]):
        picture = Image.fromarray(pixels if pixels is FACE else pixels[..., 0].copy())
        photo = read(encoded(picture, icc_profile=profile), tmp_path)
        assert off(photo.pixels, from_uint8(pixels)) < 0.01
        assert photo.warnings == ()


def test_broken_exif_is_a_warning(tmp_path):
    broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03" * 3
    photo = read(encoded(Image.fromarray(FACE), "JPEG", quality=95, exif=broken), tmp_path)
    assert off(photo.pixels, COLOUR) <= 12
    assert any("EXIF" in text for text in photo.warnings)
    assert len(set(photo.warnings)) == len(photo.warnings)


def test_whatever_a_decoder_raises_is_an_image_error(tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise struct.error("unpack requires a buffer\nof 4 bytes")

    data = encoded(Image.fromarray(FACE), "BMP")
    monkeypatch.setattr(Image.Image, "load", fails)
    with pytest.raises(ImageError, match="unpack requires a buffer") as info:
        read(data, tmp_path)
    assert "\n" not in str(info.value)


@given(at=st.integers(0, 10**6), value=st.integers(0, 255), kind=st.sampled_from(["PNG", "JPEG"]))
def test_damaged_bytes_give_a_photo_or_an_image_error(at, value, kind, tmp_path_factory):
    data = bytearray(encoded(Image.fromarray(FACE), kind))
    data[at % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(data))
    try:
        pixels = read_photo(path).pixels
    except ImageError:
        return
    assert np.isfinite(pixels).all()


def test_pillow_keeps_its_limits(folder):
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError):
        read_photo(folder[0] / "bomb.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_bombs_are_refused_even_if_pillow_is_told_to_allow_them(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match="50000x50000"):
        read_photo(folder[0] / "bomb.png")


def test_large_jpeg_is_decoded_small_when_the_target_is_known(tmp_path, monkeypatch):
    seen = []
    turned = decoding._turned
    monkeypatch.setattr(
        decoding, "_turned", lambda im, notes: seen.append(im.size) or turned(im, notes)
    )
    large = Image.fromarray(awkward.smooth_face(1024))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(large.resize((1600, 1024)), "JPEG", quality=90, exif=exif.tobytes())
    full = read(data, tmp_path, size=64)
    monkeypatch.setattr(decoding, "DRAFT_PIXELS", 10**6)
    small = read(data, tmp_path, size=64)
    assert seen == [(1600, 1024), (200, 128)]
    assert off(small.pixels, full.pixels) < 6
    assert small.transform == full.transform
    assert small.transform is not None
    assert small.transform["source_size"] == [1024, 1600]
    assert small.transform["quad"] == [[0, 288], [0, 1312], [1024, 1312], [1024, 288]]


# -- many images, and writing them -----------------------------------------------------------------


def test_read_images_takes_the_largest_size_that_enlarges_nothing(tmp_path):
    for n in (70, 33, 64):
        Image.fromarray(awkward.smooth_face(n)).save(tmp_path / f"{n}.png")
    batch = read_images([tmp_path])
    assert batch.shape == (3, 32, 32, 3)
    assert batch.dtype == np.float32
    assert np.allclose(batch[1], images.resize(from_uint8(awkward.smooth_face(64)), 32), atol=1e-6)
    assert read_images(tmp_path, size=16, limit=2).shape == (2, 16, 16, 3)


def test_read_images_of_nothing_says_where(tmp_path):
    with pytest.raises(ImageError, match="no images found") as info:
        read_images([tmp_path])
    assert str(tmp_path) in str(info.value)


def test_written_images_are_read_back_exactly(tmp_path):
    batch = np.stack([FACE, FACE[::-1]])
    paths = images.write_images(tmp_path / "new" / "out", from_uint8(batch))
    assert [p.name for p in paths] == ["000000.png", "000001.png"]
    assert np.array_equal(to_uint8(read_images([tmp_path / "new"], size=N)), batch)
    again = images.write_images(tmp_path, batch, names=["a", "b.png"])
    assert [p.name for p in again] == ["a.png", "b.png"]
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    (path,) = images.write_images(tmp_path, FACE[None])
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        images.write_images(tmp_path, FACE[None, ::-1], overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("names", [["a"], ["a", "a.png"], ["../a", "b"], ["", "b"], ["a/b", "c"]])
def test_bad_names_are_refused_before_anything_is_written(names, tmp_path):
    with pytest.raises(ValueError, match="distinct bare file names"):
        images.write_images(tmp_path / "out", np.stack([FACE, FACE]), names=names)
    assert not (tmp_path / "out").exists()


def test_write_refuses_other_shapes(tmp_path):
    with pytest.raises(ValueError, match=r"\[48, 48, 3\]"):
        images.write_images(tmp_path, FACE)


def test_encoders_give_the_files_they_say():
    png, jpeg = images.encode_png(FACE), images.encode_jpeg(FACE, 90)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), FACE)
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image).astype(int) - FACE).max() < 12
    assert len(images.encode_jpeg(FACE[..., 0], 10)) < len(images.encode_jpeg(FACE[..., 0], 95))
    with pytest.raises(ValueError, match="quality"):
        images.encode_jpeg(FACE, 0)
    with pytest.raises(ValueError, match="float32"):
        images.encode_png(COLOUR)
