"""Tensors, inputs and outputs of an encoder fixture, from the rules of its meta.json."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.net_fixtures.rules import read_arrays, read_meta


def draw(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Standard normal numbers for a name, float32, in C order."""
    draws = np.random.default_rng(zlib.crc32(name.encode()) + seed)
    return draws.standard_normal(shape, dtype=np.float32)


def tensors(folder: Path) -> dict[str, np.ndarray]:
    """The state dict of a fixture; each tensor is held against its checksum."""
    meta = read_meta(folder)
    found: dict[str, np.ndarray] = {}
    for name, shape, dtype, kind, a, b, crc in meta["tensors"]:
        array = found[a] if kind == "alias" else _tensor(name, shape, kind, (a, b), meta["seed"])
        found[name] = array.astype(dtype, copy=False)
        assert checksum(found[name]) == crc, f"{name} is not the fixture's"
    return found


def _tensor(
    name: str, shape: list[int], kind: str, scales: tuple[Any, Any], seed: int
) -> np.ndarray:
    offset, scale = scales
    if kind == "int":
        return np.full(shape, offset, np.int64)
    if kind == "kernel":
        taps = np.array([1, 3, 3, 1], np.float32)
        return np.outer(taps, taps) * np.float32(offset) / np.float32(64)
    n = draw(name, tuple(shape), seed)
    n = np.abs(n) if kind == "affine_abs" else n
    value = n * np.float32(scale)
    return value + np.float32(offset) if offset else value


def inputs(folder: Path) -> dict[str, np.ndarray]:
    """The inputs that have a rule, NCHW for pictures; each is held against its checksum."""
    meta = read_meta(folder)
    found: dict[str, np.ndarray] = {}
    for name, given in meta["inputs"].items():
        if given["rule"]["kind"] == "formula":
            continue
        found[name] = _input(name, tuple(given["shape"]), given["rule"], meta["seed"])
        assert checksum(found[name]) == given["crc32"], f"{name} is not the fixture's"
    return found


def _input(name: str, shape: tuple[int, ...], rule: dict[str, Any], seed: int) -> np.ndarray:
    if rule["kind"] == "normal":
        value = draw(name, shape, seed) * np.float32(rule["b"])
        return value + np.float32(rule["a"]) if rule["a"] else value
    count, channels, height, width = shape
    low = draw(name + ".lo", (count, channels, rule["lo"], rule["lo"]), seed)
    up = low.repeat(height // rule["lo"], 2).repeat(width // rule["lo"], 3)
    if rule["kind"] == "labels":
        return np.eye(channels, dtype=np.float32)[up.argmax(1)].transpose(0, 3, 1, 2)
    high = draw(name + ".hi", shape, seed)
    return np.clip(np.float32(rule["a"]) * up + np.float32(rule["b"]) * high, -1, 1)


BLEND = re.compile(r"clip\(([.\d]+)\*(\w+) \+ ([.\d]+)\*image\('(\w+)'\), -1, 1\) in float32")
MASK = re.compile(r"\(image\('(\w+)', \(n,1,h,w\), a=1\.0, b=0\.0\) > 0\) as 0/1 float32")
PICTURE = {"kind": "image", "a": 0.6, "b": 0.2, "lo": 8}


def formula(folder: Path, name: str) -> np.ndarray:
    """An input that meta.json gives as a formula; it is held against its checksum."""
    meta = read_meta(folder)
    given, seed = meta["inputs"][name], meta["seed"]
    shape, text = tuple(given["shape"]), given["rule"]["text"]
    if blend := BLEND.fullmatch(text):
        share, other, rest, extra = blend.groups()
        first = _input(other, shape, PICTURE, seed)
        second = _input(extra, shape, PICTURE, seed)
        value = np.clip(np.float32(share) * first + np.float32(rest) * second, -1, 1)
    elif mask := MASK.fullmatch(text):
        field = _input(mask[1], shape, {**PICTURE, "a": 1.0, "b": 0.0}, seed)
        value = (field > 0).astype(np.float32)
    else:
        raise AssertionError(f"{name}: unknown formula {text!r}")
    assert checksum(value) == given["crc32"], f"{name} is not the fixture's"
    return value


def checksum(array: np.ndarray) -> str:
    """CRC-32 of the bytes, little-endian in C order."""
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return f"{zlib.crc32(plain.tobytes()):08x}"


def check_output(folder: Path, name: str, found: Any, allowed: float = 1e-5) -> None:
    """Fail unless an output [n, ...], laid out as the original's, is the stored one.

    The largest difference may be `allowed` of the full array's largest magnitude; so may the
    differences of its mean and deviation, which stand for the parts that are not stored.
    """
    meta, ours = read_meta(folder)["io"][name], np.asarray(found, np.float64)
    error = _differences(folder, name, ours).max()
    assert error <= allowed, f"{folder.name} {name}: relative error {error:.2g} above {allowed:.2g}"
    for moment in ("mean", "std"):
        apart = abs(getattr(ours, moment)() - meta[moment]) / meta["absmax"]
        assert apart <= allowed, f"{folder.name} {name}: {moment} differs by {apart:.2g}"


def check_gradient(folder: Path, name: str, found: Any, allowed: float = 1e-5) -> None:
    """Fail unless the gradient of a deep net is the stored one, by the mean square of differences.

    A unit of the net that is within rounding of zero may have either of its two slopes, which
    changes single streaks of the gradient: those may differ by a hundred times more.
    """
    apart = _differences(folder, name, np.asarray(found, np.float64))
    assert np.sqrt(np.mean(np.square(apart))) <= allowed, f"{folder.name} {name}"
    assert apart.max() <= 100 * allowed, f"{folder.name} {name}: {apart.max():.2g} at one place"


def _differences(folder: Path, name: str, ours: np.ndarray) -> np.ndarray:
    """How far the stored part of an output is from ours, in units of the largest magnitude."""
    meta = read_meta(folder)["io"][name]
    assert list(ours.shape) == meta["shape"], f"{name}: {ours.shape}; expected {meta['shape']}"
    index = meta["index"]
    part = ours if index is None else ours[tuple(slice(*one) for one in index)]
    return np.abs(part - read_arrays(folder / "io.npz")[name]) / meta["absmax"]
