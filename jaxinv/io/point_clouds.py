"""Files of clouds of points, and pictures of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jaxinv.io.arrays import read_numpy
from jaxinv.io.files import BadFile, read_bytes
from jaxinv.specs.checks import check_array

KINDS = (".ply", ".xyz", ".txt", ".npy", ".npz")
MOST_POINTS = 2**22
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"), **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"), **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"), **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"), **dict.fromkeys(("double", "float64"), "f8"),
}  # fmt: skip
_HEADER = re.compile(rb"\Aply\r?\n(.{0,65536}?)end_header\r?\n", re.DOTALL)


def read_cloud(path: str | Path) -> np.ndarray:
    """The points float64 [n, 3] of a file: PLY (ascii or binary), lines of numbers, .npy or .npz.

    More columns than three (colours, normals) are left out. Raises `BadFile` for anything else, and
    for numbers that are not finite; `OSError` if there is no file.
    """
    kind = Path(path).suffix.lower()
    if kind not in KINDS:
        raise BadFile(f"{Path(path).name} ends in {kind or 'nothing'}; allowed: {', '.join(KINDS)}")
    if kind in (".npy", ".npz"):
        found = read_numpy(path)
        if isinstance(found, dict):
            if len(found) != 1:
                raise BadFile(f"{len(found)} arrays; allowed: one, of points [n, 3]")
            (found,) = found.values()
        return _checked(found)
    data = read_bytes(path)
    return _checked(_ply(data) if kind == ".ply" else _lines(data, None))


def encode_ply(points: np.ndarray) -> bytes:
    """A binary PLY file of points [n, 3], float32."""
    flat = check_array("points", points)
    if flat.ndim != 2 or flat.shape[1] != 3 or not len(flat):
        raise ValueError(f"points have shape {list(flat.shape)}; allowed: [n, 3]")
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(flat)}"]
    lines += [f"property float {name}" for name in "xyz"]
    return "\n".join([*lines, "end_header", ""]).encode() + flat.astype("<f4").tobytes()


def picture_of(points: np.ndarray, side: int = 256, yaw: float = 0.6) -> np.ndarray:
    """A picture uint8 [side, side, 3] of points [n, 3] in [-1, 1]: dots, the nearer the lighter.

    y points up; the cloud is turned by `yaw` radians about it and seen a little from above.
    """
    turn, tilt = (np.array([np.cos(a), np.sin(a)]) for a in (yaw, 0.35))
    x, y, z = np.asarray(points, np.float64).T
    x, z = turn[0] * x + turn[1] * z, turn[0] * z - turn[1] * x
    y, z = tilt[0] * y - tilt[1] * z, tilt[0] * z + tilt[1] * y
    order = np.argsort(z)
    columns, rows = (np.round((1 + one / 1.5) / 2 * (side - 1)).astype(int) for one in (x, -y))
    light = 70 + 170 * np.clip((z + 1.2) / 2.4, 0, 1)
    found = np.full((side, side, 3), 18, np.uint8)
    reach = max(side // 128, 1)
    for dy in range(reach + 1):
        for dx in range(reach + 1):
            at = np.clip(rows[order] + dy, 0, side - 1), np.clip(columns[order] + dx, 0, side - 1)
            found[at] = (light[order, None] * [0.75, 0.9, 1.0]).astype(np.uint8)
    return found


def _checked(found: np.ndarray) -> np.ndarray:
    points = np.asarray(found)
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
        raise BadFile(f"an array {list(points.shape)} of {points.dtype}; allowed: points [n, 3]")
    points = points[:, :3].astype(np.float64)
    if not len(points) or len(points) > MOST_POINTS:
        raise BadFile(f"{len(points)} points; allowed: 1 to {MOST_POINTS}")
    if not np.isfinite(points).all():
        raise BadFile("points that are not finite; allowed: finite numbers")
    return points


def _lines(data: bytes, most: int | None) -> np.ndarray:
    """Numbers in lines, each of as many, with blanks or commas between them."""
    rows: list[list[float]] = []
    for line in data.decode("ascii", "replace").splitlines()[:most]:
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            raise BadFile(f"a line that is no numbers: {line[:40]!r}") from error
        if len(rows[-1]) != len(rows[0]) or len(rows) > MOST_POINTS:
            raise BadFile("lines of unequal length, or too many; allowed: x y z in every line")
    return np.array(rows) if rows else np.zeros((0, 3))


def _ply(data: bytes) -> np.ndarray:
    match = _HEADER.match(data)
    if match is None:
        raise BadFile("no PLY file; allowed: one with a header")
    words = [line.split() for line in match[1].decode("ascii", "replace").splitlines()]
    order = next((_ORDERS.get(w[1]) for w in words if w[:1] == ["format"] and len(w) > 1), None)
    starts = [number for number, w in enumerate(words) if w[:1] == ["element"]]
    first = words[starts[0]] if starts else []
    if order is None or len(first) != 3 or first[1] != "vertex" or not first[2].isdecimal():
        raise BadFile("a PLY file of an unknown format, or whose first element is no vertex")
    count = int(first[2]) if len(first[2]) < 9 else MOST_POINTS + 1
    last = starts[1] if len(starts) > 1 else len(words)
    own = [w for w in words[starts[0] + 1 : last] if w[:1] == ["property"]]
    if not own or any(len(w) != 3 or w[1] not in _TYPES for w in own):
        raise BadFile("a PLY file whose vertices have lists or unknown types")
    names = [w[2] for w in own]
    if count > MOST_POINTS:
        raise BadFile(f"a PLY file of {first[2]:.12} vertices; allowed: 1 to {MOST_POINTS}")
    if len(set(names)) < len(names) or not {"x", "y", "z"} <= set(names):
        raise BadFile(f"a PLY file of vertices with {names[:8]}; allowed: x, y and z of each")
    types = {name: _TYPES[w[1]] for name, w in zip(names, own, strict=True)}
    return _vertices(data[match.end() :], count, order, types)


def _vertices(body: bytes, count: int, order: str, types: dict[str, str]) -> np.ndarray:
    if not order:
        rows = _lines(body, count)
        if rows.shape != (count, len(types)):
            raise BadFile(f"{len(rows)} lines of vertices; the header says {count}")
        places = list(types)
        return rows[:, [places.index(name) for name in "xyz"]]
    layout = np.dtype([(name, order + kind) for name, kind in types.items()])
    if len(body) < count * layout.itemsize:
        raise BadFile(f"{len(body)} bytes; {count} vertices need {count * layout.itemsize}")
    rows = np.frombuffer(body, layout, count)
    return np.stack([rows[name].astype(np.float64) for name in "xyz"], axis=1)
