"""What a row of the table of applications is, and the sheet of pictures beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from jaxinv.io.image_ops import to_uint8
from jaxinv.io.images import encode_png

# In words, or numbers by name; and whether the claim holds (None: that was not to be decided here).
Found = tuple[str | Mapping[str, float | str], bool | None]
SIDE, MARGIN, TEXT = 256, 4, 16  # px of a picture of a sheet, between two, and of a line of heads


class Missing(Exception):
    """What a row is measured on is not there; the reason in one line."""


class Row(NamedTuple):
    """One application: the claim of its paper, and the function that measures it.

    measure: called with a folder, it writes there what shall be looked at, and what it would not
        compute a second time; it gives what was measured, and whether the claim holds.
    paper: whose claim it is, with the place in the paper.
    inputs: the pictures that it was measured on.
    looked: what was seen on the sheet, by whoever looked at it last.
    """

    claim: str
    measure: Callable[[Path], Found]
    paper: str = ""
    inputs: str = ""
    looked: str = ""


def write_sheet(
    folder: Path, rows: Sequence[Sequence[np.ndarray]], heads: Sequence[str], side: int = SIDE
) -> None:
    """Write `folder/sheet.png`: pictures [s, s, 3] in [-1, 1] or uint8, in rows under heads."""
    step = side + MARGIN
    size = (step * max(len(heads), *map(len, rows)), TEXT + step * len(rows))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        pen.text((column * step, 2), head, fill="black")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            shown = picture if picture.dtype == np.uint8 else to_uint8(np.asarray(picture))
            image = Image.fromarray(shown)
            way = Image.Resampling.LANCZOS if image.width > side else Image.Resampling.NEAREST
            sheet.paste(image.resize((side, side), way), (x * step, TEXT + y * step))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sheet.png").write_bytes(encode_png(np.asarray(sheet)))


def said(measured: str | Mapping[str, float | str]) -> str:
    """What was measured, in words."""
    if isinstance(measured, str):
        return measured
    pairs = ((name, f"{v:.3g}" if isinstance(v, float) else str(v)) for name, v in measured.items())
    return "; ".join(f"{name} {value}" for name, value in pairs)
