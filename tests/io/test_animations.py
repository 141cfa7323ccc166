"""Strips and animations: what a reader of the format finds in them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from jaxinv.io.animations import encode_animation, encode_strip, there_and_back

FRAMES = [np.full((32, 34, 3), 25 * i, np.uint8) for i in range(8)]


@pytest.mark.parametrize(("kind", "near"), [("gif", 0), ("webp", 3)])
def test_every_frame_is_there_at_its_time(kind: str, near: int) -> None:
    data = encode_animation(FRAMES, kind, seconds=2.0)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format or "").lower() == kind
        assert getattr(image, "n_frames", 1) == 8
        assert image.info.get("loop") == 0
        for index, frame in enumerate(FRAMES):
            image.seek(index)
            pixels = np.asarray(image.convert("RGB"), int)
            assert image.info["duration"] == 250
            assert np.abs(pixels - frame).max() <= near


def test_videos_are_h264_of_even_sides() -> None:
    pytest.importorskip("av")
    iio = pytest.importorskip("imageio.v3")
    odd = [np.pad(frame, ((0, 1), (0, 1), (0, 0))) for frame in FRAMES]
    data = encode_animation(odd, "mp4", seconds=2.0)
    video = iio.imread(data, extension=".mp4", plugin="pyav")
    assert video.shape == (8, 32, 34, 3)
    np.testing.assert_allclose(video.mean((1, 2, 3)), np.arange(8) * 25, atol=3)
    facts = iio.immeta(data, extension=".mp4", plugin="pyav")
    assert (facts["codec"], facts["duration"]) == ("h264", 2.0)


def test_what_is_no_animation_is_refused() -> None:
    for frames, kind, said in (
        (FRAMES, "avi", "unknown animation 'avi'; allowed: gif, webp, mp4"),
        ([], "gif", "0 frames"),
        ([FRAMES[0], FRAMES[0][:4]], "gif", "2 frames of shapes"),
    ):
        with pytest.raises(ValueError, match=said):
            encode_animation(frames, kind)
    with pytest.raises(ValueError, match="seconds must be above 0"):
        encode_animation(FRAMES, "gif", seconds=0.0)
    for kind in ("gif", "webp", "mp4"):
        with pytest.raises(ValueError, match=r"seconds 1e\+09 .* allowed: at most 600 for each"):
            encode_animation(FRAMES, kind, seconds=1e9)


def test_strips_lie_side_by_side_and_are_made_smaller() -> None:
    pictures = [np.full((512, 512, 3), 40 * i, np.uint8) for i in range(3)]
    with Image.open(io.BytesIO(encode_strip(pictures))) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (256, 768, 3)
    np.testing.assert_array_equal(pixels[100, [100, 300, 600], 0], [0, 40, 80])


def test_there_and_back_has_no_frame_twice() -> None:
    frames = there_and_back(FRAMES[:4])
    np.testing.assert_array_equal([one[0, 0, 0] for one in frames], [0, 25, 50, 75, 50, 25])
    assert len(there_and_back(FRAMES[:1])) == 1
    assert len(there_and_back(FRAMES[:2])) == 2
