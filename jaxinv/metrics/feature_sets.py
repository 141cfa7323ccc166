"""What every score of arrays of numbers asks of them: their shapes, their ranges and how many."""

from __future__ import annotations

import numpy as np

from jaxinv.specs.checks import check_array, told


def check_rows(what: str, value: object, least: int = 1, *, why: str = "") -> np.ndarray:
    """`value` as float64 [n, d]; `ValueError` unless it is finite numbers, n >= least and d >= 1.

    `why` says what needs so many rows.
    """
    rows = check_array(what, value, "iuf").astype(np.float64)
    if rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"{what} is {told(rows)}; allowed: [n, d], a row for each sample")
    if len(rows) < least:
        needs = f" ({why})" if why else ""
        raise ValueError(f"{what} has {len(rows)} samples; allowed: at least {least}{needs}")
    return rows


def check_two_sets(
    a: object,
    b: object,
    least: int = 1,
    *,
    why: str = "",
    names: tuple[str, str] = ("a", "b"),
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 [n, d] and [m, d]; `ValueError` as `check_rows`, and for unequal d."""
    x, y = (check_rows(name, one, least, why=why) for name, one in zip(names, (a, b), strict=True))
    if x.shape[1] != y.shape[1]:
        widths = f"{names[0]} has {x.shape[1]} features, {names[1]} {y.shape[1]}"
        raise ValueError(f"{widths}; allowed: as many in both")
    return x, y


def check_equal_shapes(
    a: object, b: object, tail: tuple[int | None, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 [n, *tail], None being any length; `ValueError` unless they are so."""
    x, y = (check_array(name, v, "iuf").astype(np.float64) for name, v in (("a", a), ("b", b)))
    shape = ", ".join("any" if side is None else str(side) for side in ("n", *tail))
    for name, one in (("a", x), ("b", y)):
        sides = zip(one.shape[1:], tail, strict=True) if one.ndim == 1 + len(tail) else [(0, -1)]
        if not one.size or any(want not in (None, found) for found, want in sides):
            raise ValueError(f"{name} is {told(one)}; allowed: [{shape}]")
    if x.shape != y.shape:
        raise ValueError(f"shapes differ: a is {list(x.shape)}, b is {list(y.shape)}")
    return x, y


def check_labels(what: str, value: object, classes: int, shape: tuple[int, ...]) -> np.ndarray:
    """`value` as whole numbers below `classes`, of this shape; `ValueError` unless it is so."""
    labels = check_array(what, value, "biuf")
    if labels.shape != shape:
        raise ValueError(f"{what} is {told(labels)}; allowed: {list(shape)}")
    wrong = labels[(labels != np.floor(labels)) | (labels < 0) | (labels >= classes)]
    if wrong.size:
        raise ValueError(f"{what}: {told(wrong.flat[0])}; allowed: whole numbers below {classes}")
    return labels.astype(np.int64)
