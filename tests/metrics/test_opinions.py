"""Ratings: read from both kinds of files, averaged over raters, refused where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jaxinv.metrics.intervals import estimate
from jaxinv.metrics.opinions import COLUMNS, Rating, mean_differences, mean_opinions, read_ratings

GIVEN = [
    Rating(rater, picture, method, float(value))
    for rater, row in {"ann": (5, 3, 4, 2), "bob": (4, 2, 4, 1), "eve": (5, 5, 5, 4)}.items()
    for (picture, method), value in zip(
        [("a", "photo"), ("a", "fast"), ("b", "photo"), ("b", "fast")], row, strict=True
    )
]


def write(place: Path, ratings: list[Rating] = GIVEN) -> Path:
    if place.suffix == ".json":
        place.write_text(json.dumps([one._asdict() for one in ratings]))
    else:
        lines = [",".join(COLUMNS), *(",".join(map(str, one)) for one in ratings)]
        place.write_text("\n".join(lines) + "\n", "utf-8-sig")
    return place


@pytest.mark.parametrize("name", ["a.csv", "b.JSON", "c.json"])
def test_both_kinds_of_files_hold_the_same(name: str, tmp_path: Path) -> None:
    place = write(tmp_path / name.lower()).rename(tmp_path / name)
    assert read_ratings(place) == GIVEN


def test_scores_are_means_over_raters() -> None:
    found = mean_opinions(GIVEN)
    assert found["photo"] == estimate(np.array([4.5, 4, 5]))
    assert found["fast"].mean == pytest.approx(np.mean([2.5, 1.5, 4.5]))
    assert found["fast"].low <= found["fast"].mean <= found["fast"].high
    known = estimate(np.array([2.0, 2.5, 0.5]))
    assert mean_differences(GIVEN, "photo") == {"fast": known}


def test_who_rates_more_does_not_count_more() -> None:
    more = [*GIVEN, *(Rating("ann", f"c{i}", "fast", 5.0) for i in range(50))]
    assert mean_opinions(more)["fast"].mean < 4
    assert mean_differences(more, "photo") == mean_differences(GIVEN, "photo")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "", "suffix '.txt'; allowed: .csv, .json"),
        ("a.csv", "rater,picture,method,rating\n", "holds no ratings"),
        ("a.csv", "rater,picture\nann,a\n", "rating 1 has no method"),
        ("a.csv", "rater,picture,method,rating\nann,a,m,six\n", "rating 1 is 'six'; allowed: 1"),
        ("a.csv", "rater,picture,method,rating\nann,a,m,6\n", "ann gave m on a 6.0; allowed: 1"),
        ("a.csv", "rater,picture,method,rating\nann,a,m,nan\n", "nan; allowed: 1 to 5"),
        ("a.csv", "rater,picture,method,rating\na,a,m,2\na,a,m,3\n", "a rated m on a twice"),
        ("a.json", "{}", "holds no ratings"),
        ("a.json", "[1]", "rating 1 has no rater"),
        ("a.json", "[", "no ratings can be read"),
        ("a.json", '[{"rater":1,"picture":2,"method":3,"rating":[]}]', "rating 1 is a list"),
    ],
)
def test_what_is_no_rating_is_refused(name: str, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=says):
        read_ratings(tmp_path / name)


def test_a_reference_must_have_been_rated() -> None:
    with pytest.raises(ValueError, match="nobody rated 'slow'; allowed: fast, photo"):
        mean_differences(GIVEN, "slow")
    with pytest.raises(ValueError, match="nobody rated 'new' and 'photo' on one picture"):
        mean_differences([*GIVEN, Rating("zoe", "a", "new", 3.0)], "photo")
    with pytest.raises(ValueError, match="no ratings"):
        mean_opinions([])
