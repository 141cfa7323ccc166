"""Scores of an attribute for samples: by a net's name, from a table, or by any function."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.specs.checks import check_array, told

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = (".csv", ".json", ".npy")
SEED = "seed"  # what a table calls that of the samples that it scores


def check_scores(scores: Any, what: str = "scores", *, apart: bool = True) -> np.ndarray:
    """`scores` as float64 [n]; `ValueError` unless they are finite and differ from each other.

    [n, 1] is taken too; without `apart` they may be all equal.
    """
    found = check_array(what, scores, "biuf", " [n]").astype(np.float64)
    found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
    if found.ndim != 1 or len(found) < 2:
        raise ValueError(f"{what} are {told(found)}; allowed: one number for each sample, [n]")
    if apart and np.ptp(found) == 0:
        raise ValueError(f"all {len(found)} {what} are {found[0]:g}; allowed: some that differ")
    return found


def read_table(
    file: str | Path, column: str | None = None, *, seed: int | None = None
) -> np.ndarray:
    """Scores [n] of a .csv (a column), .json (a list, or a list in an object) or .npy file.

    `column` names the one to read where there are several. A table may say the seed of the samples
    that it scores: a column of a .csv, or an entry of an object, called "seed". Raises `ValueError`
    for other files, for what holds no such scores, and for samples of another seed than `seed`.
    """
    path = Path(file)
    if path.suffix not in TABLES or not path.is_file():
        raise ValueError(f"no table of scores: {path}; allowed: a file {', '.join(TABLES)}")
    try:
        found, said = _READERS[path.suffix](path, column)
    except (ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: not a table of scores ({reason:.120})") from error
    others = [one for one in said if seed is not None and one != seed]
    if others:
        raise ValueError(
            f"{path.name} scores samples of seed {told(others[0])}, not of {seed}; allowed: "
            "scores of the samples that are drawn (--seed)"
        )
    return check_scores(found, f"scores of {path.name}")


def _read_csv(path: Path, column: str | None) -> tuple[list[float], list[float]]:
    lines = [line for line in csv.reader(path.read_text("utf-8-sig").splitlines()) if line]
    names = lines[0]
    if _is_number(names[-1]):
        names = [str(index) for index in range(len(names))]
    else:
        lines = lines[1:]
    scored = [name for name in names if name != SEED]
    place = names.index(scored[_choice(scored, column)])
    said = [float(line[names.index(SEED)]) for line in lines] if SEED in names else []
    return [float(line[place]) for line in lines], said


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _choice(names: list[str], column: str | None) -> int:
    """The place of `column` in `names`, the last if it is left out."""
    if column is not None and column not in names:
        raise ValueError(f"no column {column!r}; allowed: {', '.join(names)}")
    return names.index(column) if column is not None else len(names) - 1


def _read_json(path: Path, column: str | None) -> tuple[Any, list[Any]]:
    tree = json.loads(path.read_text("utf-8"))
    if isinstance(tree, dict):
        names = [name for name in tree if name != SEED]
        return tree[names[_choice(names, column)]], [tree[SEED]] if SEED in tree else []
    return tree, []


def _read_npy(path: Path, column: str | None) -> tuple[np.ndarray, list[Any]]:
    if column is not None:
        raise ValueError(f"no column {column!r} in a .npy file")
    return np.load(path, allow_pickle=False), []


_READERS: dict[str, Callable[[Path, str | None], tuple[Any, list[Any]]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".npy": _read_npy,
}
