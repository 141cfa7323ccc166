"""Which files are tried, and which are refused before they are opened as pictures."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from jaxinv.io import images
from jaxinv.io.image_ops import from_uint8
from jaxinv.io.images import ImageError, read_photo
from tests import awkward

N = 48
FACE = awkward.smooth_face(N)
COLOUR = from_uint8(FACE)
PNG = awkward.encoded(Image.fromarray(FACE), "PNG")


def test_find_images_walks_in_order_and_skips_what_is_no_image(tmp_path):
    names = ["b.png", "a/z.jpg", "a/c.png/d", "notes.txt", ".hidden.png", ".git/x.png", "B.JPG"]
    names += ["data.json", "photo.jpg.xmp", "x.unknown"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    found = [p.relative_to(tmp_path).as_posix() for p in images.find_images([tmp_path])]
    assert found == ["B.JPG", "a/c.png/d", "a/z.jpg", "b.png", "x.unknown"]
    assert len(images.find_images([tmp_path], limit=2)) == 2
    assert images.find_images([tmp_path], limit=0) == []
    with pytest.raises(ValueError, match="limit"):
        images.find_images([tmp_path], limit=-1)


def test_find_images_returns_files_as_given_and_each_once(tmp_path):
    path = tmp_path / "notes.md"
    path.write_bytes(b"?")
    missing = tmp_path / "missing"
    assert images.find_images([path, str(path), missing]) == [path, missing]
    assert images.find_images([path, str(path), missing], limit=2) == [path, missing]
    with pytest.raises(ImageError, match="no such file"):
        read_photo(missing)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links here")
def test_links_out_of_the_folder_and_loops_are_not_followed(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    for path in (inside / "real", outside / "secret.png"):
        path.write_bytes(PNG)
    (inside / "alias.png").symlink_to("real")
    (inside / "file_out.png").symlink_to(outside / "secret.png")
    (inside / "folder_out").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "self.png").symlink_to("self.png")
    (inside / "dangling.png").symlink_to("nothing")
    found = [p.name for p in images.find_images([inside])]
    assert found == ["alias.png", "dangling.png", "real", "self.png"]
    assert np.array_equal(read_photo(inside / "alias.png").pixels, COLOUR)
    for name in ("dangling.png", "self.png"):
        with pytest.raises(ImageError, match="leads nowhere"):
            read_photo(inside / name)
    (tmp_path / "link").symlink_to(inside)
    assert len(images.find_images([tmp_path / "link"])) == 4


def test_what_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="a folder"):
        read_photo(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(ImageError, match="not a regular file"):
            read_photo(tmp_path / "pipe.png")


def test_oversized_file_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxinv.io.files.MAX_BYTES", 10)
    (tmp_path / "face.png").write_bytes(PNG)
    with pytest.raises(ImageError, match="more than the allowed 10"):
        read_photo(tmp_path / "face.png")


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only on POSIX")
def test_file_name_that_is_not_unicode(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.png"
    with open(name, "wb") as out:  # noqa: PTH123
        out.write(b"text")
    (path,) = images.find_images([tmp_path])
    with pytest.raises(ImageError) as info:
        read_photo(path)
    str(info.value).encode("utf-8")
    assert "udcff" in str(info.value)
