"""Everyday directions: exact where scores are linear, and learned from a small generator."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxinv.edits import catalogue
from jaxinv.edits.catalogue import (
    CATALOGUE,
    SCORES,
    catalogue_direction,
    learn_catalogue,
    shortest_steps,
    usable_range,
)
from jaxinv.edits.directions import Direction, generator_hash
from jaxinv.edits.kept import kept_names
from jaxinv.metrics.attributes import ATTRIBUTES
from tests.tiny import style

D, N = 12, 400


def population(seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Codes of a W with correlated coordinates, and its statistics."""
    draws = np.random.default_rng(seed)
    mixing = draws.standard_normal((D, D)) / np.sqrt(D)
    mean = draws.standard_normal(D)
    values, axes = np.linalg.eigh(mixing @ mixing.T)
    statistics = {"mean": mean, "axes": axes, "scales": np.sqrt(values)}
    return mean + draws.standard_normal((N, D)) @ mixing.T, statistics


def test_a_step_changes_its_own_score_by_a_deviation_and_no_other() -> None:
    codes, statistics = population()
    slopes = np.random.default_rng(1).standard_normal((D, 3))
    names = ("age", "yaw", "pitch")
    scores = {name: codes @ slope for name, slope in zip(names, slopes.T, strict=True)}
    steps = shortest_steps(codes, scores, statistics, [(name, ()) for name in names])
    changes = np.stack(steps) @ slopes / [scores[name].std() for name in names]
    np.testing.assert_allclose(changes, np.eye(3), atol=2e-3)


def test_it_is_the_shortest_such_step_in_the_metric_of_w() -> None:
    codes, statistics = population()
    axes, scales = statistics["axes"], statistics["scales"]
    slope = np.random.default_rng(1).standard_normal(D)
    (step,) = shortest_steps(codes, {"age": codes @ slope}, statistics, [("age", ())])
    covariance = axes * scales**2 @ axes.T
    # Lagrange: of all steps with s'x = 1 the one with the least x' S^-1 x is S s / (s' S s).
    known = covariance @ slope / (slope @ covariance @ slope) * (codes @ slope).std()
    np.testing.assert_allclose(step, known, atol=5e-3 * np.abs(known).max())


def test_what_is_free_may_change_with_it() -> None:
    codes, statistics = population()
    slopes = np.random.default_rng(1).standard_normal((D, 2))
    slopes[:, 1] += 2 * slopes[:, 0]  # correlated scores
    scores = {"age": codes @ slopes[:, 0], "yaw": codes @ slopes[:, 1]}
    held, free = shortest_steps(codes, scores, statistics, [("age", ()), ("age", ("yaw",))])
    assert abs(held @ slopes[:, 1]) < 0.01 * scores["yaw"].std()
    assert free @ slopes[:, 1] > 0.3 * scores["yaw"].std()

    def length(step: np.ndarray) -> float:
        return float(np.linalg.norm((step @ statistics["axes"]) / statistics["scales"]))

    assert length(free) < length(held)


def test_constant_scores_are_refused() -> None:
    codes, statistics = population()
    with pytest.raises(ValueError, match=r"all \d+ scores of 'age' are 3"):
        shortest_steps(codes, {"age": np.full(N, 3.0)}, statistics, [("age", ())])


@pytest.mark.parametrize(
    ("distances", "found"),
    [
        ([0.5, 0.2, 0.2, 0.5], (-3.0, 3.0)),
        ([0.9, 0.3, 0.3, 0.5], (-2.2, 3.0)),
        ([0.9, 0.8, 1.2, 1.5], (-1.1, 0.7)),
        ([math.nan, 0.3, math.nan, math.nan], (-1.5, 0.0)),
    ],
)
def test_the_usable_range_ends_with_the_person(
    distances: list[float], found: tuple[float, float]
) -> None:
    assert usable_range((-3.0, -1.5, 1.5, 3.0), distances) == found


def test_the_catalogue_names_what_can_be_measured() -> None:
    assert set(SCORES) <= set(ATTRIBUTES)
    assert len(set(SCORES)) == len(SCORES)
    for entry in CATALOGUE.values():
        assert 0 <= entry.rows[0] < entry.rows[1] <= 1
        assert set(entry.free) <= set(SCORES) - {entry.attribute}


def test_only_faces_framed_as_ffhq_have_it() -> None:
    gen, params = style()
    with pytest.raises(ValueError, match="'style' draws other pictures"):
        learn_catalogue(gen, params, "style")
    with pytest.raises(ValueError, match="'hair'"):
        catalogue_direction(gen, params, "style", "hair")


@pytest.mark.slow
def test_directions_are_learned_once_and_do_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    gen, params = style()
    gen = gen._replace(spec=replace(gen.spec, alignment="ffhq"))
    made: list[int] = []

    def attributes(images: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Means of parts of the picture: smooth functions of the code."""
        made.append(len(images))
        parts = np.array_split(images.astype(float).reshape(len(images), -1), len(SCORES), axis=1)
        found = {name: part.mean(1) for name, part in zip(SCORES, parts, strict=True)}
        return {name: found[name] / 255 for name in names}

    monkeypatch.setattr(catalogue, "attributes", attributes)
    monkeypatch.setattr(catalogue, "read_faces", lambda images: {})
    monkeypatch.setattr(catalogue, "measurable", lambda: False)
    monkeypatch.setattr(catalogue, "SAMPLES", 200)
    said: list[str] = []
    found = learn_catalogue(gen, params, "style", samples=200, report=said.append)
    assert set(found) == set(CATALOGUE)
    yaw = found["yaw"]
    assert yaw.generator == generator_hash(params)
    assert yaw.usable == (-3.0, 3.0)
    assert set(yaw.effects) == set(SCORES)
    assert any("s left" in line for line in said)
    assert yaw.rows == tuple(range(round(0.35 * gen.spec.rows)))
    moves = [abs(found[name].effects[entry.attribute]) for name, entry in CATALOGUE.items()]
    assert min(moves) > 0

    kept = catalogue_direction(gen, params, "style", "age", report=said.append)
    assert set(kept_names("style")) == set(CATALOGUE)
    count = len(made)
    again = catalogue_direction(gen, params, "style", "age")
    assert len(made) == count, "what is kept is not learned again"
    assert isinstance(again, Direction)
    assert isinstance(kept, Direction)
    np.testing.assert_array_equal(again.vector, kept.vector)
