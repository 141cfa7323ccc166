"""The table of statistics: who asks for what, what is measured once, and what is measured anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.encoders.ridge_regression import RIDGE
from jaxinv.inversion import gradient_samples
from jaxinv.inversion.statistics import TABLE, with_statistics
from jaxinv.io import checkpoints
from jaxinv.latents.codecs import CURVATURE, GRADIENT_AXES
from jaxinv.models import statistics
from jaxinv.models.statistics import STATISTICS, P
from jaxinv.specs import InitSpec, Preset, Stage, Term, Variable
from tests.engine import MSE, one, preset
from tests.tiny import linear

pytestmark = pytest.mark.usefixtures("quick_compilation")
# A stage that asks for each, and what is measured for it.
ASKING: dict[str, tuple[Stage, set[str]]] = {
    P: (one(Variable("w", codec="pn")), {P}),
    GRADIENT_AXES: (one(Variable("w+", codec="gradient-axes")), {GRADIENT_AXES}),
    CURVATURE: (one(Variable("w+", codec="preconditioned")), {GRADIENT_AXES, CURVATURE}),
    RIDGE: (one(Variable("w", init=InitSpec("learned"))), {RIDGE}),
}
KEYS = tuple(statistic.key for statistic in TABLE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files of statistics go, empty at first; measurements are small."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(statistics, "P_SAMPLES", 2_000)
    monkeypatch.setattr(gradient_samples, "SAMPLES", 8)
    return tmp_path / "statistics"


def measured(made: Preset, said: list[str], params: Any = None) -> dict[str, Any]:
    """With its statistics; `said` has the first line of everything that was measured."""
    gen, plain = linear()
    lines: list[str] = []
    found = with_statistics(gen, params or plain, made, {}, report=lines.append)
    said += [line for line in lines if line.endswith(", once")]
    return found


def of(key: str) -> Preset:
    return preset(ASKING[key][0])


def test_every_statistic_has_a_stage_that_asks_for_it() -> None:
    assert set(KEYS) == set(ASKING)
    assert len(set(KEYS)) == len(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_a_statistic_is_measured_for_those_who_ask(key: str) -> None:
    said: list[str] = []
    gen, plain = linear()
    found, names = measured(of(key), said), ASKING[key][1]
    assert found[STATISTICS].keys() - plain[STATISTICS].keys() == names
    (line,) = said
    assert f" of {gen.spec.name}: " in line
    assert not set(plain[STATISTICS]) & set(KEYS), "what was given is left as it was"
    # A later stage asks as the first does; nobody else does.
    assert len(measured(preset(one(), *of(key).stages), [])[STATISTICS]) == len(found[STATISTICS])
    nobody = preset(one(Variable("w+", codec="whiten")))
    assert measured(nobody, said) is plain
    assert len(said) == 1


@pytest.mark.parametrize("key", KEYS)
def test_a_statistic_is_measured_once(key: str, folder: Path) -> None:
    said: list[str] = []
    first = measured(of(key), said)
    files, count = {file.name for file in folder.iterdir()}, len(said)
    assert len(files) == len(ASKING[key][1]) + (key != P), "samples, and what is made of them"
    again = measured(of(key), said)
    jax.tree.map(np.testing.assert_array_equal, again[STATISTICS], first[STATISTICS])
    assert measured(of(key), said, first) is first
    assert (len(said), {file.name for file in folder.iterdir()}) == (count, files)


@pytest.mark.parametrize("key", KEYS)
def test_names_are_those_that_are_measured(key: str) -> None:
    (statistic,) = (one for one in TABLE if one.key == key)
    entry = measured(of(key), [])[STATISTICS][key]
    assert set(statistic.names) == (set(entry) if isinstance(entry, dict) else {key})


@pytest.mark.parametrize("key", KEYS)
def test_a_file_with_other_names_is_measured_anew(key: str, folder: Path) -> None:
    said: list[str] = []
    first, count = measured(of(key), said), len(said)
    for file in folder.iterdir():
        arrays, facts = checkpoints.load(file)
        renamed = {f"old_{name}": value for name, value in arrays.items()}
        facts["content_sha256"] = checkpoints.content_sha256(renamed)
        checkpoints.save(file, renamed, facts)
    again = measured(of(key), said)
    assert said[count:] == said[:count]
    jax.tree.map(np.testing.assert_array_equal, again[STATISTICS], first[STATISTICS])
    assert measured(of(key), said)[STATISTICS].keys() == first[STATISTICS].keys()
    assert len(said) == 2 * count, "the files were replaced"


@pytest.mark.parametrize(
    ("terms", "anew"),
    [
        ((Term("mse", 2.0),), set[str]()),
        ((Term("l1"),), {GRADIENT_AXES, CURVATURE, RIDGE}),
        ((*MSE, Term("gaussian", variable="w+")), set[str]()),
    ],
)
@pytest.mark.parametrize("key", KEYS)
def test_what_a_statistic_depends_on(key: str, terms: tuple[Term, ...], anew: set[str]) -> None:
    """Samples are of image terms by their ratios; P is of the generator alone."""
    said: list[str] = []
    stage = ASKING[key][0]
    measured(of(key), said)
    count = len(said)
    code = stage.variables[0].space
    terms = tuple(replace(term, variable=code) if term.variable else term for term in terms)
    measured(preset(replace(stage, terms=terms, steps=3)), said)
    assert len(said) - count == (key in anew)


@pytest.mark.parametrize("key", KEYS)
def test_another_generator_is_measured_anew(key: str) -> None:
    said: list[str] = []
    measured(of(key), said)
    count, params = len(said), linear()[1]
    shifted = {**params["mapping"], "shift": params["mapping"]["shift"] + 1}
    measured(of(key), said, {**params, "mapping": shifted})
    assert len(said) == 2 * count
