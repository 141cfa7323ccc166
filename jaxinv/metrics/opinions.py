"""What people think of pictures: mean opinion scores from a file of ratings.

A rating is what one rater gave one picture of one method, 1 (bad) to 5 (excellent). Files are CSV
with the columns of `COLUMNS`, or JSON: a list of objects with these names. The page that
`reports.ratings` writes collects such ratings.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv.io.files import read_bytes
from jaxinv.metrics.intervals import Estimate, estimate
from jaxinv.specs.checks import check_place, is_number, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS = ("rater", "picture", "method", "rating")
WORST, BEST = 1, 5
SUFFIXES = (".csv", ".json")


class Rating(NamedTuple):
    """What one rater gave one picture of one method."""

    rater: str
    picture: str
    method: str
    rating: float


def read_ratings(path: str | Path) -> list[Rating]:
    """The ratings in a file, .csv or .json.

    Raises `ValueError` naming the line for what is no rating from 1 to 5, for a picture that a
    rater rated twice, and for a file without ratings; `OSError` where there is no file.
    """
    check_place("path", path)
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{place}: suffix {suffix!r}; allowed: {', '.join(SUFFIXES)}")
    try:
        text = read_bytes(place).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text))) if suffix == ".csv" else json.loads(text)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{place}: no ratings can be read ({error!s:.120})") from error
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{place} holds no ratings; allowed: {', '.join(COLUMNS)} for each")
    return check_ratings(_rating(row, f"{place}, rating {i}") for i, row in enumerate(rows, 1))


def _rating(row: Any, where: str) -> Rating:
    missing = [n for n in COLUMNS if not isinstance(row, dict) or row.get(n) in (None, "")]
    if missing:
        raise ValueError(f"{where} has no {missing[0]}; allowed: {', '.join(COLUMNS)}")
    try:
        rater, picture, method = (str(row[name]) for name in COLUMNS[:-1])
        return Rating(rater, picture, method, float(row["rating"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is {told(row['rating'])}; allowed: {WORST} to {BEST}") from error


def check_ratings(ratings: Iterable[Rating]) -> list[Rating]:
    """All ratings; `ValueError` for one outside 1 to 5, given twice, or for none at all."""
    found, seen = list(ratings), set[tuple[str, ...]]()
    for one in found:
        if not is_number(one.rating) or not WORST <= one.rating <= BEST:
            raise ValueError(
                f"{one.rater} gave {one.method} on {one.picture} {told(one.rating)}; "
                f"allowed: {WORST} to {BEST}"
            )
        if one[:3] in seen:
            raise ValueError(
                f"{one.rater} rated {one.method} on {one.picture} twice; allowed: once"
            )
        seen.add(one[:3])
    if not found:
        raise ValueError("no ratings; allowed: at least 1")
    return found


def mean_opinions(ratings: Sequence[Rating], *, seed: int = 0) -> dict[str, Estimate]:
    """Mean Opinion Score of every method, with the bootstrap interval over raters.

    A rater's pictures are averaged first, so that one who rated many counts once. ITU-T P.800.

    Raises `ValueError` as `check_ratings`.
    """
    return _by_method(((one.rater, one.method, one.rating) for one in check_ratings(ratings)), seed)


def mean_differences(
    ratings: Sequence[Rating], reference: str, *, seed: int = 0
) -> dict[str, Estimate]:
    """Differential Mean Opinion Score: how far each method is below `reference`, 0 being as good.

    The mean over raters of what they gave the reference less what they gave the method, on the
    pictures that they rated of both.

    Raises `ValueError` as `check_ratings`, for a reference that nobody rated, and for a method that
    shares no rater and picture with it.
    """
    found = check_ratings(ratings)
    methods = sorted({one.method for one in found})
    if reference not in methods:
        raise ValueError(f"nobody rated {told(reference)}; allowed: {', '.join(methods)}")
    base = {(one.rater, one.picture): one.rating for one in found if one.method == reference}
    pairs = [
        (one.rater, one.method, base[one.rater, one.picture] - one.rating)
        for one in found
        if one.method != reference and (one.rater, one.picture) in base
    ]
    lacking = set(methods) - {reference} - {method for _, method, _ in pairs}
    if lacking:
        raise ValueError(
            f"nobody rated {min(lacking)!r} and {reference!r} on one picture; allowed: at least 1"
        )
    return _by_method(pairs, seed)


def _by_method(rows: Iterable[tuple[str, str, float]], seed: int) -> dict[str, Estimate]:
    given: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rater, method, value in rows:
        given[method][rater].append(value)
    means = {method: [np.mean(of[rater]) for rater in sorted(of)] for method, of in given.items()}
    return {method: estimate(np.array(means[method]), seed=seed) for method in sorted(means)}
