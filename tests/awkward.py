"""A folder of thirty awkward picture files: twenty that must be read, ten that must be reported."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

# What a viewer must do for each EXIF orientation is undone here, so that all read as the face.
_UNDO = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}


def write_awkward_folder(folder: str | Path, face: np.ndarray) -> dict[str, str]:
    """Write the thirty files made from uint8 [n, n, 3] (n >= 32); returns name -> "ok" or "bad".

    Names are relative to the folder, with forward slashes.
    """
    target = Path(folder)
    good, bad = good_files(face), bad_files(face)
    for name, data in (good | bad).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    return dict.fromkeys(good, "ok") | dict.fromkeys(bad, "bad")


def smooth_face(n: int) -> np.ndarray:
    """A smooth picture without any symmetry and with three different channels, uint8 [n, n, 3]."""
    y, x = np.indices((n, n)) / (n - 1)
    planes = (0.9 * x, 0.15 + 0.7 * y * x, 0.2 + 0.6 * (1 - y) * (1 - 0.5 * x))
    return np.rint(255 * np.stack(planes, axis=-1)).astype(np.uint8)


def good_files(face: np.ndarray) -> dict[str, bytes]:
    """The twenty files that show the face, whatever their mode, turn or name."""
    colour = Image.fromarray(face)
    grey = colour.convert("L")
    disc = Image.fromarray(alpha_disc(len(face)))
    see_through = colour.convert("RGBA")
    see_through.putalpha(disc)
    sixteen = np.asarray(grey).astype(np.uint16) * 257
    wide = Image.fromarray(np.pad(face, ((0, 0), (8, 9), (0, 0)), mode="edge"))
    frames = [grey, Image.fromarray(255 - np.asarray(grey))]
    files = {f"exif_{turn}.jpg": turned_jpeg(face, turn) for turn in range(1, 9)}
    return files | {
        "grey_misnamed.jpg": encoded(grey, "PNG"),
        "grey_alpha.png": encoded(Image.merge("LA", (grey, disc)), "PNG"),
        "palette.png": encoded(colour.quantize(256), "PNG"),
        "palette_transparent.png": encoded(cut_palette(colour), "PNG", transparency=255),
        "one_bit.png": encoded(colour.convert("1"), "PNG"),
        "sixteen_bit.png": encoded(Image.fromarray(sixteen), "PNG"),
        "rgba.png": encoded(see_through, "PNG"),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "JPEG", quality=95),
        "icc.png": encoded(
            Image.fromarray(face[..., ::-1].copy()), "PNG", icc_profile=swapped_profile()
        ),
        "icc_broken.jpg": encoded(colour, "JPEG", quality=95, icc_profile=b"no profile" * 20),
        "folder.png/wide.png": encoded(wide, "PNG"),
        "animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    }


def bad_files(face: np.ndarray) -> dict[str, bytes]:
    """Ten files that are no usable picture, each in its own way."""
    colour = Image.fromarray(face)
    png, jpeg = encoded(colour, "PNG"), encoded(colour, "JPEG", quality=95)
    nan = np.full(face.shape[:2], 0.5, np.float32)
    nan[3, 4] = np.nan
    middle = len(png) // 2
    return {
        "empty.png": b"",
        "text.png": b"This is not a picture.\n",
        "page.jpg": b"<!DOCTYPE html><html><body>404 not found</body></html>",
        "truncated.png": png[:middle],
        "truncated.jpg": jpeg[: len(jpeg) * 3 // 4],
        "corrupt.png": png[:middle] + bytes(b ^ 255 for b in png[middle : middle + 64])
        + png[middle + 64 :],
        "bomb.png": declared_png(50_000, 50_000),
        "large_bomb.png": declared_png(10_000, 9_000),
        "one_pixel.png": encoded(Image.new("RGB", (1, 1)), "PNG"),
        "nan.tif": encoded(Image.fromarray(nan), "TIFF"),
    }  # fmt: skip


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def turned_jpeg(face: np.ndarray, orientation: int) -> bytes:
    """A JPEG that shows the face once its EXIF orientation is applied."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(_UNDO[orientation](face)))
    return encoded(image, "JPEG", quality=95, subsampling=0, exif=exif.tobytes())


def alpha_disc(n: int) -> np.ndarray:
    """uint8 [n, n]: opaque in a disc, transparent outside."""
    y, x = np.indices((n, n)) - (n - 1) / 2
    return np.where(np.hypot(x, y) < 0.45 * n, 255, 0).astype(np.uint8)


def cut_palette(image: Image.Image) -> Image.Image:
    """A palette picture whose entry 255 fills the ground outside the disc."""
    indices = np.asarray(image.quantize(255)).copy()
    indices[alpha_disc(len(indices)) == 0] = 255
    out = Image.fromarray(indices).convert("P")
    out.putpalette([*(image.quantize(255).getpalette() or [])[:765], 0, 255, 0])
    return out


def declared_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def swapped_profile() -> bytes:
    """An ICC profile of sRGB primaries (gamma 2.2) in which red and blue change places."""
    primaries = {
        b"bXYZ": (0.4361, 0.2225, 0.0139),
        b"gXYZ": (0.3851, 0.7169, 0.0971),
        b"rXYZ": (0.1431, 0.0606, 0.7141),
        b"wtpt": (0.9642, 1.0, 0.8249),
    }
    tags = {k: b"XYZ \0\0\0\0" + _fixed(*v) for k, v in primaries.items()}
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 8) + b"swapped\0" + bytes(80)
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rest = struct.pack(">I", len(tags)) + table + body
    header = struct.pack(">IIIIII", 128 + len(rest), 0, 0x02100000, *_codes("mntr", "RGB ", "XYZ "))
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    return header + _fixed(0.9642, 1.0, 0.8249) + bytes(48) + rest


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _codes(*names: str) -> tuple[int, ...]:
    return tuple(int.from_bytes(name.encode(), "big") for name in names)
