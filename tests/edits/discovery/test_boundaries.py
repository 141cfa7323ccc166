"""InterFaceGAN's planes, their scores, and tables of scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jaxinv.edits.discovery.boundaries import boundary, discriminant, regression, select
from jaxinv.edits.discovery.scores import check_scores, read_table
from tests.edits.renderer import FACTORS, codes, directions, factors, pictures, renderer, shown


@pytest.mark.parametrize("classifier", ["svm", "logistic"])
@pytest.mark.parametrize("dim", [16, 64])
def test_the_normal_of_a_linear_score_is_found(dim: int, classifier: str) -> None:
    z = np.random.default_rng(dim).standard_normal((10_000, dim))
    truth = np.random.default_rng(1).standard_normal(dim)
    truth /= np.linalg.norm(truth)
    scores = z @ truth + 3
    found = boundary(z, scores, select(scores, 0.1), classifier=classifier)
    assert found.normal @ truth > 0.99  # 0.996 at 2 %, 0.9998 at 10 % of so many samples
    assert found.validation == 1
    assert found.rest > 0.85  # the plane passes near, not through, the middle of the scores
    np.testing.assert_allclose(regression(z, scores), truth, atol=1e-12)


def test_the_discriminant_is_the_difference_of_means_by_the_covariance_within() -> None:
    draws = np.random.default_rng(3)
    mixing = draws.standard_normal((4, 4)) + 2 * np.eye(4)
    away = np.asarray([1.0, -2.0, 0.5, 0.0])
    high = np.arange(40_000) % 2
    codes = draws.standard_normal((40_000, 4)) @ mixing.T + high[:, None] * away
    truth = np.linalg.solve(mixing @ mixing.T, away)
    found = discriminant(codes, high.astype(np.float64))
    assert found @ truth / np.linalg.norm(truth) > 0.999  # of 40 000 draws
    assert found @ away / np.linalg.norm(away) < 0.99  # which the means alone would give


@pytest.mark.parametrize("name", ["brightness", "background", "hue"])
def test_factors_of_the_renderer_are_found_from_what_pictures_show(name: str) -> None:
    pair = renderer()
    w = codes(4000)
    scores = shown(pictures(pair, w))[name]
    found = boundary(w, scores, select(scores, 0.1))
    # What is seen is no linear function of the factor, and others play a part in it.
    assert found.normal @ directions(pair)[FACTORS.index(name)] > 0.95, name
    assert found.rest > 0.8


def test_a_factor_of_a_code_with_rows_keeps_its_shape() -> None:
    pair = renderer()
    w = codes(2000)
    found = boundary(np.repeat(w[:, None], 2, 1), factors(pair, w)[:, 0])
    assert found.normal.shape == (2, 8)
    np.testing.assert_allclose(found.normal[0], found.normal[1], atol=1e-6)
    assert found.normal.sum(0) @ directions(pair)[0] > 0.95 * 2**0.5  # 2 % of 2000 samples


def test_the_highest_and_lowest_are_selected() -> None:
    scores = np.random.default_rng(2).permutation(100).astype(float)
    rows = select(scores, 0.1)
    assert sorted(scores[[*rows.train_high, *rows.validation_high]]) == list(range(90, 100))
    assert sorted(scores[[*rows.train_low, *rows.validation_low]]) == list(range(10))
    assert (len(rows.train_high), len(rows.validation_low), len(rows.rest)) == (7, 3, 80)
    assert rows.middle == 49.5
    assert len(select(scores, 30).train_low) == 21
    everything = select(scores, 1.0)
    assert len(everything.rest) == 0
    assert np.isnan(boundary(np.eye(100), scores, everything).rest)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.ones(50), "all 50 scores are 1; allowed: some that differ"),
        ([1.0, np.nan, 2.0], r"scores must be finite, got nan at \[1\]"),
        ([[1.0, 2.0], [3.0, 4.0]], r"one number for each sample"),
        (["high", "low"], "scores must be"),
        ([3.0], "one number for each sample"),
    ],
)
def test_scores_that_say_nothing_are_refused(scores: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_scores(scores)


def test_sides_that_would_be_empty_are_refused() -> None:
    scores = np.arange(50.0)
    for chosen, split in ((0.02, 0.7), (0.1, 1.0), (0.1, 0.0), (0, 0.5)):
        with pytest.raises(ValueError, match="allowed: at least 2 samples on each side"):
            select(scores, chosen, split)
    with pytest.raises(ValueError, match="and a score for each"):
        boundary(np.eye(49), scores)
    with pytest.raises(ValueError, match="unknown classifier 'tree'; allowed: svm, logistic"):
        boundary(np.eye(50), scores, classifier="tree")


def test_tables_of_every_kind_hold_the_same_scores(tmp_path: Path) -> None:
    scores = [0.5, -1.0, 2.0]
    (tmp_path / "a.csv").write_text("file,age\na,0.5\nb,-1\nc,2\n")
    (tmp_path / "b.csv").write_text("0.5\n-1\n2\n")
    (tmp_path / "a.json").write_text(json.dumps({"smile": [1, 2, 3], "age": scores}))
    (tmp_path / "b.json").write_text(json.dumps(scores))
    np.save(tmp_path / "a.npy", scores)
    for name in ("a.csv", "b.csv", "a.json", "b.json", "a.npy"):
        np.testing.assert_array_equal(read_table(tmp_path / name), scores)
    np.testing.assert_array_equal(read_table(tmp_path / "a.json", "smile"), [1, 2, 3])
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv", "age"), scores)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "age\nold\nyoung\n"),
        ("a.csv", ""),
        ("a.csv", "a,b\n1,2\n3\n"),
        ("a.json", "{"),
        ("a.json", '{"age": "old"}'),
        ("a.json", "{}"),
        ("a.npy", "text"),
        ("a.txt", "1 2 3"),
        ("a.csv", "age\n1\nnan\n"),
        ("a.csv", "age\n1\n1\n"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="scores"):
        read_table(tmp_path / name)


def test_an_absent_column_names_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,smile\n1,2\n3,4\n")
    with pytest.raises(ValueError, match="no column 'yaw'; allowed: age, smile"):
        read_table(tmp_path / "a.csv", "yaw")
    with pytest.raises(ValueError, match="no table of scores"):
        read_table(tmp_path / "b.csv")
