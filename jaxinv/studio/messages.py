"""What pages may say: checked field by field, so that nothing else reaches the pictures."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxinv.io.decoding import decode
from jaxinv.io.files import BadFile
from jaxinv.sessions.dragging import MOST_POINTS
from jaxinv.specs.checks import check_choice, check_kind, check_whole, is_number
from jaxinv.specs.serialization import parse_json

LARGEST = 2**22  # bytes of a message
LONGEST = 200  # characters of a name
CANVAS = 1024  # px of the largest picture that a message may hold
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # how PNG files begin; then come width and height


@dataclass(frozen=True)
class Message:
    """One message: what to `do`, with which picture (`work`), and its fields, checked."""

    do: str
    work: str
    fields: dict[str, Any]


def read_message(data: bytes | str) -> Message:
    """The message that a page has sent; `ValueError` that says what is wrong with it."""
    if len(data) > LARGEST:
        raise ValueError(f"message of {len(data)} bytes; allowed: at most {LARGEST}")
    value = parse_json(data, "message")
    check_kind("message", value, dict)
    do = value.pop("do", None)
    check_choice("what to do", do, tuple(FIELDS))
    work = value.pop("work", "")
    if not isinstance(work, str) or len(work) > LONGEST:
        raise ValueError("work is no text; allowed: the name of a picture")
    wanted = FIELDS[do]
    strange = set(value) - set(wanted)
    if strange:
        allowed = ", ".join(wanted) or "none"
        raise ValueError(f"{do}: unknown field {min(strange)[:LONGEST]!r}; allowed: {allowed}")
    fields: dict[str, Any] = {}
    for name, read in wanted.items():
        if name not in value:
            raise ValueError(f"{do}: {name} is missing")
        fields[name] = read(f"{do}: {name}", value[name])
    return Message(do, work, fields)


def _text(what: str, value: Any) -> str:
    check_kind(what, value, str)
    if len(value) > LONGEST:
        raise ValueError(f"{what} has {len(value)} characters; allowed: {LONGEST}")
    return value


def _number(what: str, value: Any) -> float:
    if not is_number(value) or not abs(value) < 1e6:
        raise ValueError(f"{what} is {json.dumps(value)[:60]}; allowed: a number")
    return float(value)


def _whole(what: str, value: Any) -> int:
    check_whole(what, value, 0)
    return int(value)


def _flag(what: str, value: Any) -> bool:
    check_kind(what, value, bool)
    return value


def _points(what: str, value: Any) -> list[list[float]]:
    check_kind(what, value, list)
    if not 1 <= len(value) <= MOST_POINTS:
        raise ValueError(f"{what}: {len(value)} points; allowed: 1 to {MOST_POINTS}")
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{what}: a point is no pair; allowed: [x, y]")
    return [[_number(what, number) for number in pair] for pair in value]


def _picture(what: str, value: Any) -> np.ndarray:
    """A square picture as base64 of a PNG file: uint8 [n, n, 3]."""
    check_kind(what, value, str)
    try:
        data = base64.b64decode(value, validate=True)
        if not data.startswith(PNG):
            raise ValueError("no PNG file")
        width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
        if width != height or width > CANVAS:  # before its pixels take any memory
            raise ValueError(f"{width} x {height} px; allowed: a square of at most {CANVAS}")
        pixels = decode(data, size=None, background=0.0).pixels
    except (binascii.Error, BadFile, ValueError) as error:
        raise ValueError(f"{what} is no picture ({str(error)[:LONGEST]})") from error
    if pixels.dtype != np.uint8:
        raise ValueError(f"{what} has colours of type {pixels.dtype}; allowed: uint8")
    return pixels


def _mask(what: str, value: Any) -> np.ndarray | None:
    """A mask as a picture, white where it holds: [n, n] of 0 and 1; None where there is none."""
    if value is None:
        return None
    return (_picture(what, value)[..., 0] > 127).astype(np.float32)


# What can be done, with which fields, and what reads each.
FIELDS: dict[str, dict[str, Any]] = {
    "hello": {},  # what is there?
    "show": {},  # this picture, at full size
    "choose": {"face": _whole},  # one of the faces that were found
    "whole": {},  # the photo as it is, without a face
    "slide": {"name": _text, "amount": _number},  # a slider is being moved: a preview
    "move": {"name": _text, "amount": _number},  # a slider was let go
    "drag": {"from": _points, "to": _points, "mask": _mask},
    "paint": {"colours": _picture, "mask": _mask, "edges": _flag},
    "mix": {"other": _text, "rows": _text},
    "stop": {},  # whatever is being searched for
    "undo": {},
    "redo": {},
    "learn": {},  # the everyday directions
}
