"""A preset that does not suit generator, images or weights is refused before any compile."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jaxinv.inversion import stages
from jaxinv.inversion.compatibility import check_preset, check_weights
from jaxinv.inversion.invert import invert
from jaxinv.models.statistics import STATISTICS
from jaxinv.models.zoo import ZOO
from jaxinv.presets import PRESETS
from jaxinv.runs.doctor import TINY
from jaxinv.specs import (
    GeneratorSpec,
    InitSpec,
    Jitter,
    Preset,
    SolverSpec,
    Stage,
    Term,
    Variable,
    View,
)
from tests.tiny import linear

MSE = Term("mse")
ONLY_Z = GeneratorSpec("dcgan", "dcgan", 64, 100)
ROWS = TINY.rows


def preset(variable: Variable, *terms: Term, **others: Any) -> Preset:
    stage = Stage((variable,), terms or (MSE,), steps=3, **others)
    return Preset("p", (Stage((Variable("z"),), (MSE,), steps=1), stage), "", "")


@pytest.mark.parametrize(
    ("spec", "made", "told"),
    [
        (
            ONLY_Z,
            preset(Variable("w+")),
            r"'p', stage 2 frees 'w\+', which generator 'dcgan' does not have; allowed: z, f",
        ),
        (
            ONLY_Z,
            preset(Variable("noise", init=InitSpec("prior"))),
            "frees 'noise'.*allowed: z, features",
        ),
        (TINY, preset(Variable("w+", tie=(0,) * 5)), f"ties 5 rows; generator 'tiny' has {ROWS}"),
        (
            TINY,
            preset(Variable("w+", freeze=(4, 9))),
            f"freezes codes 4 to 9; allowed: some, but not all, of {ROWS}",
        ),
        (TINY, preset(Variable("w+", freeze=(0, ROWS))), "some, but not all"),
        (
            TINY,
            preset(Variable("w+", tie=(0, 0, 0, 1, 1, 1, 2, 2), freeze=(2, 4))),
            "not all, of 3",
        ),
        (
            TINY,
            preset(Variable("w+"), MSE, Term("gaussian", variable="w+", rows=(0, 9))),
            rf"'gaussian-w\+' takes rows \(0, 9\); allowed: up to {ROWS}",
        ),
        (
            TINY,
            preset(Variable("z"), Term("lpips", net="alexnet", view=View(24))),
            "'lpips-alexnet@24' sees 24x24 px of images of 32 px; allowed: at least 31x31",
        ),
        (
            TINY,
            preset(Variable("z"), Term("lpips", net="vgg16", view=View(crop=(0, 0, 0.25, 1)))),
            "sees 8x32 px of images of 32 px; allowed: at least 16x16",
        ),
        (TINY, preset(Variable("z"), Term("l1", view=View(crop=(0, 0, 0.01, 1)))), "sees 0x32"),
    ],
)
def test_what_does_not_suit_is_named(spec: GeneratorSpec, made: Preset, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_preset(spec, made, 32)


def test_what_suits_passes() -> None:
    tied = Variable("w+", tie=(0, 0, 0, 1, 1, 1, 2, 2), freeze=(2, 3))
    gaussian = Term("gaussian", variable="w+", rows=(0, 3))
    check_preset(TINY, preset(tied, Term("lpips", net="alexnet"), gaussian), 32)
    check_preset(TINY, preset(Variable("noise", init=InitSpec("stored"))), 8)
    check_preset(ONLY_Z, preset(Variable("z")), 64)


def asks_for_more(made: Preset) -> bool:
    """Whether a preset needs classes, a discriminator or clouds, which the generator lacks."""
    spaces = {v.space for stage in made.stages for v in stage.variables}
    judged = any(term.needs_discriminator for stage in made.stages for term in stage.terms)
    clouds = any(term.kind.cloud for stage in made.stages for term in stage.terms)
    return judged or clouds or "embedding" in spaces


@pytest.mark.parametrize("name", [name for name in PRESETS if not asks_for_more(PRESETS[name])])
def test_published_presets_suit_the_published_generator(name: str) -> None:
    facts: dict[str, Any] = dict(ZOO["ffhq"].outputs[0].spec)
    for size in (32, 256, 1024):
        check_preset(GeneratorSpec(**facts), PRESETS[name], size)


@pytest.mark.parametrize(
    "made",
    [
        preset(Variable("w")),
        preset(Variable("w+", codec="whiten", init=InitSpec("prior"))),
        preset(Variable("w", init=InitSpec("prior")), jitter=Jitter()),
    ],
)
def test_statistics_are_asked_for_where_they_are_used(made: Preset) -> None:
    with pytest.raises(ValueError, match=r"needs params\['statistics'\], the mean and the axes"):
        check_weights(linear()[0], made, {}, {})
    check_weights(linear()[0], made, {STATISTICS: {}}, {})


def test_starts_that_need_no_statistics_do_without() -> None:
    check_weights(linear()[0], preset(Variable("w", init=InitSpec("prior"))), {}, {})
    check_weights(linear()[0], preset(Variable("noise", init=InitSpec("stored"))), {}, {})


def test_nets_are_asked_for() -> None:
    made = preset(Variable("z"), Term("lpips", net="vgg16"), Term("lpips", net="alexnet"))
    with pytest.raises(ValueError, match=r"'p' needs the nets vgg16; given: alexnet$"):
        check_weights(linear()[0], made, {}, {"alexnet": {}})
    with pytest.raises(ValueError, match="needs the nets alexnet, vgg16; given: none"):
        check_weights(linear()[0], made, {}, {})


def test_invert_refuses_before_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*args: object) -> None:
        raise AssertionError("reached the engine")

    gen, params = linear()
    monkeypatch.setattr(stages, "map_lanes", compiled)
    image = np.zeros((1, 16, 16, 3))
    only_z = gen._replace(spec=replace(gen.spec, w_dim=0, rows=0, styles=(), noise=()))
    adam = preset(Variable("w+"), solver=SolverSpec("adam"))
    with pytest.raises(ValueError, match=r"frees 'w\+', which generator 'linear' does not have"):
        invert(only_z, params, image, preset=adam, nets={})
    with pytest.raises(ValueError, match=r"needs params\['statistics'\]"):
        invert(gen, {k: v for k, v in params.items() if k != STATISTICS}, image, preset=adam)
    lpips = preset(Variable("z"), Term("lpips", net="vgg16"))
    with pytest.raises(ValueError, match="needs the nets vgg16; given: none"):
        invert(gen, params, image, preset=lpips, nets={})
    with pytest.raises(AssertionError, match="reached the engine"):
        invert(gen, params, image, preset=adam, nets={})


@pytest.mark.parametrize(("solver", "package"), [("cma", "evosax"), ("hmc", "blackjax")])
def test_a_package_that_is_not_installed_is_named_before_any_compile(
    solver: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules: dict[str, Any] = sys.modules
    monkeypatch.setitem(modules, package, None)
    made = preset(Variable("z", init=InitSpec("prior")), solver=SolverSpec(solver))
    with pytest.raises(ValueError, match=f"needs {package}: pip install"):
        check_preset(ONLY_Z, made, 64)
