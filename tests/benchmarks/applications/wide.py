"""Canvases without end, and photographs that go on: seams, on drawn figures of 32 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxinv.applications.canvas import draw_canvas, extend, random_codes, seams
from jaxinv.io.image_ops import to_uint8
from jaxinv.io.images import encode_png
from tests.benchmarks.applications.cut_outs import SIDE, found
from tests.benchmarks.applications.rows import Found, Row

LONG, COUNT, TILES = 12, 4, 5


def endless(out: Path) -> Found:
    """Steps at borders of tiles, and whether a patch is the same on a longer canvas."""
    gen, params, *_, latents = found()
    own = np.asarray(latents["w+"])[:4]
    codes = np.concatenate([own, random_codes(gen, params, LONG - 4, seed=1)["w+"]])
    drawn = draw_canvas(gen, params, {"w+": codes}, middle=0)
    less = draw_canvas(gen, params, {"w+": codes[:8]}, middle=0)
    kept = slice(0, 6 * SIDE)
    apart = float(np.abs(less[:, kept] - drawn[:, kept]).max())
    alone = [draw_canvas(gen, params, {"w+": one[None]}, middle=0) for one in codes]
    plain = seams(np.concatenate(alone, 1))
    write_strips(out, [drawn, np.concatenate(alone, 1)])
    words = {
        "steps at borders, times those elsewhere": float(seams(drawn).mean()),
        "worst": float(seams(drawn).max()),
        "of pictures side by side": float(plain.mean()),
        "patches of a longer canvas differ by": apart,
    }
    return words, bool(seams(drawn).max() < 1.5 and apart == 0)


def outward(out: Path) -> Found:
    """Steps at the borders of figures that are kept and go on, and how well they are found."""
    gen, params, pictures, *_ = found()
    known = pictures[:COUNT]
    kept = extend(gen, params, known, TILES)
    drawn = extend(gen, params, known, TILES, keep=False).images
    middle = slice(TILES // 2 * SIDE, (TILES // 2 + 1) * SIDE)
    psnr = [
        10 * np.log10(4 / np.square(a[:, middle] - b).mean())
        for a, b in zip(drawn, known, strict=True)
    ]
    beside = np.stack([np.concatenate([one] * TILES, 1) for one in known])
    plain = np.mean([seams(one).mean() for one in beside])
    write_strips(out, [*kept.images, *drawn])
    words = {
        "steps at borders of the picture, times those elsewhere": float(kept.seams[:, 1:3].mean()),
        "worst": float(kept.seams[:, 1:3].max()),
        "of the picture repeated": float(plain),
        "PSNR of the picture on the canvas": float(np.mean(psnr)),
    }
    return words, bool(kept.seams[:, 1:3].max() < 1.5)


def write_strips(out: Path, canvases: list[np.ndarray]) -> None:
    """Write `out/sheet.png`: canvases [32, n, 3] under each other, three times as large."""
    stack = to_uint8(np.concatenate(canvases, 0)).repeat(3, 0).repeat(3, 1)
    (out / "sheet.png").write_bytes(encode_png(stack))


ROWS = {
    "infinitygan": Row(
        "patches drawn alone make one picture without seams, of any width",
        endless,
        "InfinityGAN, section 4",
        f"codes of 4 held-out figures and {LONG - 4} random ones, 32 px",
    ),
    "in-and-out": Row(
        "a picture goes on beyond its edges without a seam",
        outward,
        "In&Out, section 4",
        "4 held-out figures of 32 px, in `avatars`",
    ),
}
