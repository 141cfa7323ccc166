"""Draws the picture of the front page: a photograph, its inversion, and two edits of it.

jaxinv invert notebooks/photos/astronaut.png -o out
jaxinv edit out -d age --amount 1.5 -o older
jaxinv edit out -d smile -d mouth-open --amount -1.2 --amount -1.5 -o calm
python docs/front_picture.py notebooks/photos/astronaut.png out older calm portrait.jpg

The last file is `docs/images/portrait.jpg`. It draws nothing anew: the commands did.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxinv import read_images
from jaxinv.io.image_ops import to_uint8

SIDE, GAP, BAR, FULL = 280, 8, 28, 1024
EYES = (370, 370, 370 + SIDE, 370 + SIDE)  # left, top, right, bottom in pictures of FULL px
TITLES = ("photograph", "drawn by the generator", "older", "no longer smiling")
DETAILS = ("enlarged to 1024 px", *["pixels as written"] * 3)


def pictures(photo: str, runs: list[str]) -> list[Image.Image]:
    """The photograph, cut as the run cut it, and what each command drew of it, of FULL px."""
    (aligned,) = read_images([photo], size=FULL, align="auto")
    drawn = [next(Path(run, "images").glob("*.png")) for run in runs]
    return [Image.fromarray(to_uint8(np.asarray(aligned))), *map(Image.open, drawn)]


def sheet(panels: list[Image.Image]) -> Image.Image:
    """Two rows: whole pictures, made smaller, and a part of each, pixel for pixel."""
    rows = [
        [panel.resize((SIDE, SIDE), Image.Resampling.BOX) for panel in panels],
        [panel.crop(EYES) for panel in panels],
    ]
    width = len(panels) * (SIDE + GAP) - GAP
    page = Image.new("RGB", (width, 2 * (SIDE + BAR)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    for row, (images, words) in enumerate(zip(rows, (TITLES, DETAILS), strict=True)):
        for column, (image, text) in enumerate(zip(images, words, strict=True)):
            left, top = column * (SIDE + GAP), row * (SIDE + BAR)
            draw.text((left + SIDE // 2, top + BAR // 2), text, "black", font, "mm")
            page.paste(image, (left, top + BAR))
    return page


def main(photo: str, *runs: str, out: str) -> None:
    """Write the sheet as a JPEG."""
    sheet(pictures(photo, list(runs))).save(out, quality=85, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:-1], out=sys.argv[-1])
