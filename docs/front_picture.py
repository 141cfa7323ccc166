"""Draws the picture of the front page from two finished runs on the same photograph.

jaxinv invert notebooks/photos/astronaut.png -o out
jaxinv invert notebooks/photos/astronaut.png -p faithful -o out-faithful
python docs/front_picture.py notebooks/photos/astronaut.png out out-faithful portrait.jpg

The last file is `docs/images/portrait.jpg`. It draws nothing anew: the runs did.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxinv import read_images
from jaxinv.io.image_ops import to_uint8

SIDE, GAP, BAR, FULL = 360, 8, 30, 1024
EYES = (330, 330, 330 + SIDE, 330 + SIDE)  # left, top, right, bottom in pictures of FULL px
TITLES = ("photograph", "default", "faithful")
DETAILS = ("enlarged to 1024 px", "pixels as written", "pixels as written")


def pictures(photo: str, runs: list[str]) -> list[Image.Image]:
    """The photograph, cut as the runs cut it, and what each run drew of it, of FULL px."""
    (aligned,) = read_images([photo], size=FULL, align="auto")
    drawn = [next(Path(run, "images").glob("*.png")) for run in runs]
    return [Image.fromarray(to_uint8(np.asarray(aligned))), *map(Image.open, drawn)]


def sheet(panels: list[Image.Image]) -> Image.Image:
    """Two rows: whole pictures, made smaller, and a part of each at its own size."""
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


def main(photo: str, first: str, second: str, out: str) -> None:
    """Write the sheet as a JPEG."""
    sheet(pictures(photo, [first, second])).save(out, quality=85, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
