"""Recipes: what was done in a session as JSON, to be done again to the same bytes.

A recipe holds everything but the latents with which it began and the directions, which it names
with their SHA-256. Nothing in it is executed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.edits.directions import row_numbers
from jaxinv.io.decoding import decode
from jaxinv.io.files import BadFile
from jaxinv.io.images import encode_png
from jaxinv.sessions.dragging import RATE, check_handles
from jaxinv.sessions.operations import (
    DragPoints,
    MixRows,
    Move,
    Operation,
    PaintColours,
    way_fingerprint,
)
from jaxinv.sessions.painting import check_colours
from jaxinv.sessions.places import SIDE, check_mask
from jaxinv.specs.checks import (
    check_above,
    check_choice,
    check_kind,
    check_number,
    check_whole,
    told,
)
from jaxinv.specs.serialization import parse_json

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.sessions.session import Session
    from jaxinv.specs import GeneratorSpec

SCHEMA = 1
LARGEST = 2**25  # bytes of a recipe
MOST_STEPS = 10_000  # of one search
MOST_OPERATIONS = 1_000


def to_json(session: Session, generator: str) -> str:
    """The recipe of all that was done and not undone, with the generator's name."""
    value = {
        "format": "jaxinv",
        "kind": "recipe",
        "schema": SCHEMA,
        "generator": generator,
        "start_sha256": session.fingerprint(),
        "operations": [_written(one) for one in session.operations],
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _written(one: Operation) -> dict[str, Any]:
    if isinstance(one, Move):
        way = {"direction": one.name, "sha256": way_fingerprint(one.way)}
        return {"do": "move", **way, "amount": one.amount}
    if isinstance(one, DragPoints):
        places = {"from": one.points.tolist(), "to": one.targets.tolist()}
        mask = None if one.mask is None else _picture(one.mask)
        return {"do": "drag", **places, "mask": mask, "steps": one.steps, "rate": one.rate}
    if isinstance(one, PaintColours):
        drawn = {"colours": _picture(one.colours), "mask": _picture(one.mask)}
        return {"do": "paint", **drawn, "edges": one.edges, "steps": one.steps}
    codes = base64.b64encode(one.codes.astype("<f4").tobytes()).decode()
    return {"do": "mix", "rows": list(one.rows), "codes": codes, "name": one.name}


def _picture(array: np.ndarray) -> str:
    """A picture, or a mask of 0 and 1, as base64 of a PNG file."""
    whole = array if array.dtype == np.uint8 else (array * 255).astype(np.uint8)
    return base64.b64encode(encode_png(whole)).decode()


class Recipe:
    """What a recipe says; `operations` finds its directions.

    generator: the name of the generator. start: the SHA-256 of the latents with which it began.
    """

    def __init__(self, text: str | bytes) -> None:
        """Read it; `ValueError` for what is no recipe, or of another schema."""
        if len(text) > LARGEST:
            raise ValueError(f"recipe of {len(text)} bytes; allowed: at most {LARGEST}")
        value = parse_json(text, "recipe")
        check_kind("recipe", value, dict)
        if (value.get("format"), value.get("kind")) != ("jaxinv", "recipe"):
            raise ValueError(f"recipe of kind {told(value.get('kind'))}; allowed: 'recipe'")
        if value.get("schema") != SCHEMA:
            raise ValueError(f"recipe of schema {told(value.get('schema'))}; allowed: {SCHEMA}")
        self.generator, self.start = (
            _text(value, name, "recipe") for name in ("generator", "start_sha256")
        )
        self._lines = value.get("operations")
        check_kind("operations of the recipe", self._lines, list)
        if len(self._lines) > MOST_OPERATIONS:
            raise ValueError(f"{len(self._lines)} operations; allowed: at most {MOST_OPERATIONS}")

    def operations(self, spec: GeneratorSpec, find: Callable[[str], Way]) -> list[Operation]:
        """All operations, checked, for the generator of `spec`; `find` gives directions by name.

        Raises `ValueError` naming the operation and what is wrong with it, also where a direction
        is another one than it was.
        """
        found: list[Operation] = []
        for number, line in enumerate(self._lines, 1):
            where = f"operation {number} of the recipe"
            try:
                check_kind(where, line, dict)
                check_choice("what to do", line.get("do"), tuple(READERS))
                found.append(READERS[line["do"]](line, spec, find))
            except (ValueError, TypeError, KeyError) as error:
                said = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
                raise ValueError(f"{where}: {said}") from error
        return found


def _move(line: dict[str, Any], spec: GeneratorSpec, find: Callable[[str], Way]) -> Operation:
    del spec
    name = _text(line, "direction", "move")
    way = find(name)
    if line.get("sha256") not in (None, way_fingerprint(way)):
        raise ValueError(f"direction {name!r} is another one here than it was in the recipe")
    check_number("amount", line["amount"])
    return Move(way, float(line["amount"]), name)


def _drag(line: dict[str, Any], spec: GeneratorSpec, find: Callable[[str], Way]) -> Operation:
    del find
    points, targets = check_handles((line["from"], line["to"]), spec.resolution)
    mask, rate = line.get("mask"), line.get("rate", RATE)
    check_above("rate", rate, 0)
    whole = None if mask is None else _read_mask(mask)
    return DragPoints(points, targets, _steps(line), float(rate), whole)


def _paint(line: dict[str, Any], spec: GeneratorSpec, find: Callable[[str], Way]) -> Operation:
    del spec, find
    edges = line.get("edges", False)
    check_kind("edges", edges, bool)
    colours = _read_picture(line["colours"])
    check_colours(colours)
    return PaintColours(colours, _read_mask(line["mask"]), _steps(line), edges)


def _mix(line: dict[str, Any], spec: GeneratorSpec, find: Callable[[str], Way]) -> Operation:
    del find
    check_kind("rows", line["rows"], list)
    rows = row_numbers("rows", line["rows"])
    if rows[-1] >= spec.rows:
        raise ValueError(f"rows {list(rows)}; allowed: some of 0 to {spec.rows - 1}")
    data = _bytes(line["codes"], "codes")
    if len(data) != 4 * len(rows) * spec.w_dim:
        raise ValueError(f"codes of {len(data)} bytes; allowed: {4 * len(rows) * spec.w_dim}")
    codes = np.frombuffer(data, "<f4").reshape(len(rows), spec.w_dim).astype(np.float32)
    if not np.isfinite(codes).all():
        raise ValueError("codes are not finite; allowed: finite numbers")
    name = line.get("name", "")
    check_kind("name", name, str)
    return MixRows(codes, rows, name)


READERS = {"move": _move, "drag": _drag, "paint": _paint, "mix": _mix}


def _steps(line: dict[str, Any]) -> int:
    check_whole("steps", line["steps"], 1)
    if line["steps"] > MOST_STEPS:
        raise ValueError(f"steps {line['steps']}; allowed: at most {MOST_STEPS}")
    return int(line["steps"])


def _text(value: dict[str, Any], name: str, of: str) -> str:
    check_kind(f"{name} of the {of}", value.get(name), str)
    return value[name]


def _bytes(text: Any, what: str) -> bytes:
    check_kind(what, text, str)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{what} are no base64") from error


def _read_picture(text: Any) -> np.ndarray:
    try:
        return decode(_bytes(text, "picture"), size=None, background=0.0).pixels
    except BadFile as error:
        raise ValueError(f"picture: {error}") from error


def _read_mask(text: Any) -> np.ndarray:
    pixels = _read_picture(text)
    if pixels.shape[:2] != (SIDE, SIDE):
        raise ValueError(f"mask of {list(pixels.shape[:2])} px; allowed: [{SIDE}, {SIDE}]")
    return check_mask((pixels[..., 0] > 127).astype(np.float32), "mask")
