"""What a picture file may cost: memory, notes, and how large ones are read."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxinv.io import decoding, images
from jaxinv.io.images import ImageError, read_photo
from jaxinv.io.text import LONGEST_NOTE, MOST_NOTES
from tests.awkward import alpha_disc, encoded, smooth_face
from tests.tiers import mostly_slow

BOUND = 1.25 * 2**30  # bytes, as `read_photo` says
READ = """
import json, resource, sys
from jaxinv.io.images import ImageError, read_photo
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, side = peak(), 0
try:
    side = len(read_photo(sys.argv[1], **json.loads(sys.argv[2])).pixels)
except ImageError:
    pass
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([side, (peak() - before) * unit]))
"""


def flat(mode: str, size: tuple[int, int], colour: Any, kind: str = "PNG", **options: Any) -> bytes:
    """A file of one colour, of any size: it packs well."""
    return encoded(Image.new(mode, size, colour), kind, **options)


def tiled(tile: int) -> bytes:
    """A grey TIFF of 64 x 64 px in one packed tile, whose side is far larger."""
    data = zlib.compress(bytes(2**20))
    tags = {
        256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile,
        324: 8 + 2 + 10 * 12 + 4, 325: len(data),
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + data


BIG = (9400, 9400)
COSTLY: dict[str, tuple[Any, dict[str, Any]]] = {
    "colour": (lambda: flat("RGB", BIG, (1, 2, 3)), {}),
    "alpha": (lambda: flat("RGBA", BIG, (1, 2, 3, 99)), {}),
    "alpha as kept": (lambda: flat("RGBA", (5790, 5790), (1, 2, 3, 99)), {}),
    "palette": (lambda: flat("P", BIG, 3), {}),
    "16 bits": (lambda: flat("I;16", BIG, 300), {}),
    "floats": (lambda: flat("F", (9000, 9000), 0.3, "TIFF", compression="tiff_lzw"), {}),
    "progressive": (
        lambda: flat("RGB", (9000, 9000), (1, 2, 3), "JPEG", progressive=True, subsampling=0), {},
    ),
    "webp": (lambda: flat("RGB", (9000, 9000), (1, 2, 3), "WEBP"), {}),
    "long": (lambda: flat("L", (5_000_000, 16), 3), {}),
    "long, padded": (lambda: flat("L", (1_900_000, 16), 3), {"fit": "pad"}),
    "panorama, padded": (lambda: flat("RGB", (20_000, 1600), (1, 2, 3)), {"fit": "pad"}),
    "tall, stretched": (lambda: flat("RGB", (40, 800_000), (1, 2, 3)), {"fit": "stretch"}),
    "tile": (lambda: tiled(32768), {}),
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage there")
@pytest.mark.parametrize("name", mostly_slow(COSTLY, ["colour", "long", "tile"]))
def test_reading_a_file_costs_no_more_than_is_stated(name: str, tmp_path: Path) -> None:
    make, options = COSTLY[name]
    (tmp_path / "a").write_bytes(make())
    command = [sys.executable, "-c", READ, str(tmp_path / "a"), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    side, peak = json.loads(done.stdout)
    assert peak < BOUND
    assert side**2 <= decoding.MOST_KEPT
    assert (side > 0) == (name not in ("webp", "long", "long, padded", "tile"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "colour key"])
def test_large_pictures_are_halved_and_shown_as_they_are(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    face, options = Image.fromarray(smooth_face(128)), {}
    if mode == "RGBA":
        face.putalpha(Image.fromarray(alpha_disc(128)))
    elif mode == "LA":
        face = Image.merge("LA", (face.convert("L"), Image.fromarray(alpha_disc(128))))
    elif mode == "I;16":
        face = Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257)
    elif mode == "colour key":
        options = {"transparency": (255, 0, 255)}
    else:
        face = face.convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    (tmp_path / "a").write_bytes(encoded(face, kind, **options))
    whole = read_photo(tmp_path / "a")
    monkeypatch.setattr(decoding, "MOST_KEPT", 10_000)
    half = read_photo(tmp_path / "a")
    assert half.pixels.shape == (64, 64, 3)
    assert half.warnings[0] == "128x128 px: read at half its size"
    assert np.abs(half.pixels - images.resize(whole.pixels, 64)).mean() < 0.02
    assert half.transform == (whole.transform or {}) | {"size": 64}
    assert (half.mask is None) == (whole.mask is None)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_cuts_are_in_pixels_of_the_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Image.fromarray(smooth_face(400)).crop((0, 0, 400, 300))
    (tmp_path / "a").write_bytes(encoded(wide, kind))
    points = [[150, 120], [250, 120], [200, 170], [160, 210], [240, 210]]
    (tmp_path / "l.json").write_text(json.dumps({"a": points}))
    ways: list[dict[str, Any]] = [
        {"align": str(tmp_path / "l.json")},
        {"fit": "crop"},
        {"fit": "pad"},
    ]
    for options in ways:
        whole = read_photo(tmp_path / "a", **options)
        with monkeypatch.context() as patch:
            patch.setattr(decoding, "MOST_KEPT", 100_000)
            patch.setattr(images, "MOST_KEPT", 300**2)
            half = read_photo(tmp_path / "a", **options)
        assert half.transform
        assert whole.transform
        assert half.transform["source_size"] == [400, 300]
        np.testing.assert_allclose(half.transform["quad"], whole.transform["quad"], atol=1.5)
        small = images.resize(whole.pixels, len(half.pixels))
        assert np.abs(half.pixels - small).mean() < 0.05


def exif_with(count: int) -> bytes:
    """EXIF of so many tags that state more bytes than there are."""
    entries = b"".join(struct.pack(">HHII", 1000 + i, 2, 10**6, 0) for i in range(count))
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", count) + entries + bytes(4)


def test_notes_of_one_file_are_counted_and_cut(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(flat("RGB", (64, 64), 3, "JPEG", exif=exif_with(4000)))
    notes = read_photo(tmp_path / "a.jpg").warnings
    assert len(notes) == MOST_NOTES + 1
    assert notes[-1] == f"and {4000 - MOST_NOTES} more of this kind"
    assert max(map(len, notes)) <= LONGEST_NOTE


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    stated = len(data) if length is None else length
    return struct.pack(">I", stated) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27))),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2**27))),
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**27))),
        chunk(b"tEXt", b"a\0b", length=2**31 - 1),
        chunk(b"eXIf", b"MM\0*", length=2**30),
    ],
)
def test_texts_and_profiles_of_huge_size_cost_no_memory(extra: bytes, tmp_path: Path) -> None:
    png = flat("RGB", (64, 64), (1, 2, 3))
    (tmp_path / "a.png").write_bytes(png[:33] + extra + png[33:])
    command = [sys.executable, "-c", READ, str(tmp_path / "a.png"), "{}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[1] < 2**26


def test_animations_are_not_unpacked(tmp_path: Path) -> None:
    frames = [Image.new("L", (64, 64), i % 255) for i in range(300)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "a.gif").write_bytes(out.getvalue())
    assert read_photo(tmp_path / "a.gif").warnings == ("several frames: only the first is used",)


def test_long_pictures_are_not_padded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_KEPT", 100**2)
    (tmp_path / "a.png").write_bytes(flat("L", (2000, 16), 3))
    with pytest.raises(ImageError, match="2000x16 px is too long to be padded"):
        read_photo(tmp_path / "a.png", fit="pad")
    assert len(read_photo(tmp_path / "a.png").pixels) == 16
