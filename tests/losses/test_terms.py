"""Further terms of images and unknowns: closed forms, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.compatibility import check_weights
from jaxinv.inversion.statistics import with_statistics
from jaxinv.losses import regularizers
from jaxinv.losses.base import TermInputs, Told
from jaxinv.losses.image_terms import FEATURE_DISTANCES
from jaxinv.losses.terms import TERMS, evaluate, extract_features, term_value
from jaxinv.models import statistics as model_statistics
from jaxinv.models.discriminators import base as judges
from jaxinv.models.generators import weight_deltas
from jaxinv.models.statistics import STATISTICS, P, to_p
from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable, View
from jaxinv.specs.term_kinds import TERMS as KINDS
from jaxinv.specs.vocabulary import (
    DISCRIMINATOR,
    DISTANCES,
    GLOBAL_DISTANCES,
)
from jaxinv.types import Array, Params
from tests.engine import one, preset, run, targets
from tests.judged import SIDE, distance, picture
from tests.tiny import linear

MSE = Term("mse")
PIXELS = (Term("logcosh"), Term("charbonnier"), Term("bce"), Term("hog"), Term("ms_ssim", scales=2))


# --- words ----------------------------------------------------------------------------------------


def test_words_are_those_that_have_a_meaning() -> None:
    assert set(TERMS) == set(KINDS)
    assert set(FEATURE_DISTANCES) == set(DISTANCES)
    assert set(GLOBAL_DISTANCES) < set(DISTANCES)
    assert judges.DISCRIMINATOR == DISCRIMINATOR


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "mse", "distance": "l1"}, "'mse' takes no distance, got 'l1'; .*: features"),
        (
            {"name": "mse", "last_layers": 2},
            "'mse' takes no last_layers, got 2; .*: features",
        ),
        ({"name": "drift", "radius": 3.0}, "takes no radius, got 3.0; allowed with: locality"),
        (
            {"name": "checkerboard", "floor": 0.1},
            "'checkerboard' takes no floor, got 0.1; allowed with: mse",
        ),
        ({"name": "hog", "scales": 3}, "'hog' takes no scales, got 3; allowed with: ms_ssim"),
        ({"name": "mse", "heads": (0,)}, r"takes no heads, got \(0,\); allowed with: attention"),
        ({"name": "features", "weighted": False}, "takes no weighted, got False"),
        (
            {"name": "checkerboard", "critic": True},
            "takes no critic, got True; allowed with: realism",
        ),
        ({"name": "gaussian", "variable": "z", "power": 2}, "takes no power, got 2; .*: norm_from"),
        ({"name": "sparsity", "variable": "z", "margin": 1.0}, "takes no margin"),
        ({"name": "anchor", "variable": "z", "rows": (0, 1)}, "takes no rows"),
        ({"name": "delta_norm", "row_range": (0, 0.5)}, "takes no row_range"),
        ({"name": "realism", "net": DISCRIMINATOR}, "takes no net"),
        ({"name": "realism", "view": View(8)}, "takes no view"),
        ({"name": "ms_ssim", "reduction": "sum"}, "'ms_ssim' takes no reduction"),
        ({"name": "attention", "view": View(8)}, "'attention' takes no view"),
        ({"name": "attention", "net": "vgg16"}, "net of term 'attention' 'vgg16'; .*discriminator"),
        ({"name": "lpips", "net": DISCRIMINATOR}, "'discriminator'; allowed: alexnet, vgg16"),
        (
            {"name": "features", "net": "vgg16", "layers": ("conv1_1",), "last_layers": 1},
            "takes no last_layers",
        ),
        ({"name": "features", "net": DISCRIMINATOR}, "allowed: the names of some of its steps"),
        (
            {"name": "features", "net": DISCRIMINATOR, "layers": ("b8",), "last_layers": 1},
            "how many",
        ),
        (
            {"name": "features", "net": DISCRIMINATOR, "last_layers": -1},
            "last_layers must be a whole number",
        ),
        (
            {"name": "features", "net": DISCRIMINATOR, "last_layers": 1, "view": View(8)},
            "'features' takes no view",
        ),
        (
            {"name": "features", "net": DISCRIMINATOR, "last_layers": 1, "distance": "l3"},
            "unknown distance 'l3'; allowed: l2, l1, cosine, style, appearance, norm",
        ),
        (
            {
                "name": "features",
                "net": DISCRIMINATOR,
                "last_layers": 1,
                "distance": "style",
                "reduction": "sum",
            },
            "takes no reduction",
        ),
        ({"name": "norm_from", "variable": "z"}, r"'z'; allowed: w, w\+"),
        ({"name": "mahalanobis"}, r"variable of term 'mahalanobis' 'None'; allowed: w, w\+"),
        ({"name": "geocross", "variable": "w"}, r"'w'; allowed: w\+, z\+"),
        ({"name": "drift", "variable": "w"}, "'w'; allowed: weights"),
        ({"name": "drift", "power": 3}, "power of term 'drift' must be 1 or 2, got 3"),
        ({"name": "attention", "heads": (-1,)}, r"heads must be .* got \(-1,\)"),
        ({"name": "mse", "floor": -1.0}, "floor must be at least 0.0"),
    ],
)
def test_what_a_term_would_ignore_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Term(**fields)


def test_what_can_only_be_one_thing_is_filled_in() -> None:
    assert Term("attention").label == "attention-discriminator"
    assert Term("drift") == Term("drift", variable="weights", power=2)
    assert Term("norm_from", variable="w").power == 1
    assert Stage((Variable("z"),), (Term("attention"),), 1).nets == ()


@pytest.mark.parametrize(
    ("variables", "terms", "told"),
    [
        ((Variable("w", init=InitSpec("best-of")),), (MSE, Term("anchor", variable="w")), "best-"),
        ((Variable("w"),), (MSE, Term("drift")), "'drift-weights' needs a free 'weights'; free: w"),
        (
            (Variable("w+", num_codes=2), Variable("mix", num_codes=2, layers=("sum",))),
            (MSE, Term("delta_norm")),
            "several codes",
        ),
        ((Variable("w"),), (Term("realism"),), "at least one image term"),
    ],
)
def test_stages_that_terms_do_not_suit_are_refused(variables: Any, terms: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Stage(variables, terms, steps=1)


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", PIXELS, ids=lambda term: term.name)
def test_the_target_is_where_a_distance_is_least(term: Term) -> None:
    a, b = picture(0), picture(1)
    measure = jax.jit(jax.value_and_grad(lambda x, y: distance(term, x, y)))
    (value, slope), (least, flat) = measure(a, b), measure(b, b)
    assert value > least + 1e-3
    assert np.any(slope != 0)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(flat, 0, atol=1e-5)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (Term("logcosh"), np.log(np.cosh(0.5))),
        (Term("charbonnier"), np.sqrt(0.25 + 1e-6)),
        (Term("charbonnier", reduction="sum"), np.sqrt(0.25 + 1e-6) * SIDE * SIDE),
        (Term("bce"), -0.25 * np.log(0.5) - 0.75 * np.log(0.5)),
        (Term("hog"), 0),
    ],
    ids=lambda value: value.name if isinstance(value, Term) else "",
)
def test_distances_of_constant_images(term: Term, expected: float) -> None:
    a = jnp.zeros((SIDE, SIDE, 3))
    np.testing.assert_allclose(distance(term, a, a - 0.5), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("term", PIXELS, ids=lambda term: term.name)
def test_masks_hide_what_is_behind_them(term: Term) -> None:
    a, b = picture(0), picture(1)
    mask = jnp.zeros((SIDE, SIDE, 1)).at[:, :8].set(1.0)
    hidden = b.at[:, 9:].set(0.3)  # directions of edges look one pixel farther
    found = distance(term, a, b, mask)
    np.testing.assert_allclose(distance(term, a, hidden, mask), found, rtol=1e-5)
    assert distance(term, a, b.at[3, 3].set(-b[3, 3]), mask) != found


def test_a_floor_counts_but_is_not_reported() -> None:
    terms = (Term("mse", 3.0, floor=0.04), Term("l1"))
    a, near = picture(0), picture(0) + 0.1

    def total(x: Array, *terms: Term) -> Any:
        target = extract_features(terms, {}, a)
        return evaluate(
            terms,
            {},
            TermInputs({}, {}, x, extract_features(terms, {}, x)),
            (target, None),
            jnp.zeros(()),
        )

    found, values = total(near, *terms)
    np.testing.assert_allclose(found, 3 * 0.04 + 0.1, rtol=1e-5)
    np.testing.assert_allclose([values["mse"], values["l1"]], [0.01, 0.1], rtol=1e-4)
    assert not np.any(jax.grad(lambda x: total(x, terms[0])[0])(near))
    np.testing.assert_allclose(total(a + 0.3, terms[0])[0], 3 * 0.09, rtol=1e-5)


def test_a_term_counts_as_its_sample_does() -> None:
    a, b, terms = picture(0), picture(1), (Term("mse", when="drawn"), Term("l1"))
    seen, target = (extract_features(terms, {}, x) for x in (a, b))

    def value(counts: float) -> dict[str, Any]:
        told = Told(counts={"drawn": jnp.asarray(counts)})
        inputs = TermInputs({}, {}, a, seen, told=told)
        return evaluate(terms, {}, inputs, (target, None), jnp.zeros(()))[1]

    once, twice, never = value(1.0), value(2.0), value(0.0)
    assert set(once) == {"mse-drawn", "l1"}
    np.testing.assert_allclose(twice["mse-drawn"], 2 * once["mse-drawn"], rtol=1e-6)
    assert never["mse-drawn"] == 0
    assert never["l1"] == once["l1"] > 0
    with pytest.raises(ValueError, match="'mse'; allowed: where an encoder is trained"):
        Stage((Variable("w"),), terms, steps=1)


# --- penalties ------------------------------------------------------------------------------------

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6)), jnp.float32)


def statistics() -> Params:
    draws = np.random.default_rng(1)
    axes = np.linalg.qr(draws.normal(size=(6, 6)))[0]
    held = {"mean": draws.normal(size=6), "axes": axes, "scales": np.linspace(0.5, 2, 6)}
    held = {name: jnp.asarray(value, jnp.float32) for name, value in held.items()}
    return {STATISTICS: {"mean": jnp.linspace(-1.0, 1.0, 6), P: held}}


def white() -> Array:
    held = statistics()[STATISTICS][P]
    return (to_p(ROWS) - held["mean"]) @ held["axes"] / held["scales"]


MEAN = np.linspace(-1, 1, 6)
LENGTHS = np.linalg.norm(ROWS - ROWS[0], axis=1).sum()


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (Term("sparsity", variable="w+"), np.abs(ROWS).mean()),
        (Term("sparsity", variable="w+", rows=(1, 2)), np.abs(ROWS[1]).mean()),
        (Term("anchor", variable="w+"), 0.25),
        (Term("anchor", variable="w+", reduction="sum"), 0.25 * 18),
        (Term("anchor", variable="w+", row_range=(0.5, 1.0), reduction="sum"), 0.25 * 6),
        (Term("norm_from", variable="w+"), np.linalg.norm(ROWS - MEAN)),
        (Term("norm_from", variable="w+", power=2), np.sum((ROWS - MEAN) ** 2)),
        (Term("delta_norm"), LENGTHS),
        (Term("mahalanobis", variable="w+"), np.mean(np.square(white()))),
        (Term("geocross", variable="w+"), regularizers.geocross(ROWS)),
        (Term("geocross", variable="w+", rows=(0, 1)), 0),
    ],
    ids=lambda value: f"{value.name}{value.rows}{value.power}" if isinstance(value, Term) else "",
)
def test_penalties_on_rows(term: Term, expected: float) -> None:
    def measure(rows: Array) -> Array:
        given = TermInputs({"w+": rows}, {"w+": rows}, rows, {}, statistics(), {"w+": ROWS - 0.5})
        return term_value(term, given)

    value, slope = jax.value_and_grad(measure)(ROWS)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-9)
    assert np.isfinite(slope).all()


def test_the_energy_of_what_is_added() -> None:
    added = {"a": jnp.full((2, 2, 3), 2.0), "b": {"c": jnp.full((4,), 3.0)}}
    found = term_value(Term("residual_energy"), TermInputs({}, {"features": added}, ROWS, {}))
    np.testing.assert_allclose(found, 4 + 9)


@pytest.mark.parametrize("form", weight_deltas.FORMS)
@pytest.mark.parametrize("power", [1, 2])
def test_the_drift_of_weights_in_every_form(form: str, power: int) -> None:
    params: Params = {"synthesis": {"a": {"kernel": ROWS}, "b": {"bias": ROWS[0]}}}
    draws = np.random.default_rng(2)
    changes: Params = {"synthesis": {"a": {"kernel": {}}, "b": {"bias": {}}}}
    for layer, name in (("a", "kernel"), ("b", "bias")):
        start = weight_deltas.unchanged(
            params, ("synthesis", layer, name), (form, 2), jax.random.key(0)
        )
        changes["synthesis"][layer][name] = {
            key: value + jnp.asarray(draws.normal(size=value.shape), jnp.float32)
            for key, value in start.items()
        }
    after = weight_deltas.patched(params, changes)
    moved = jax.tree.leaves(jax.tree.map(jnp.subtract, after, params))
    expected = np.mean(np.abs(np.concatenate([x.ravel() for x in moved])) ** power)
    given = TermInputs({}, {"weights": changes}, ROWS, {}, params)
    np.testing.assert_allclose(term_value(Term("drift", power=power), given), expected, rtol=1e-4)


def test_an_anchor_holds_a_code_where_it_started() -> None:
    first = one(Variable("w"), steps=20)
    stage = replace(first, terms=(MSE, Term("anchor", 1e4, variable="w")))
    for made, init in ((first, "previous"), (None, "prior"), (None, "mean")):
        held = replace(stage, variables=(Variable("w", init=InitSpec(init)),))
        before = () if made is None else (made,)
        found = run(
            preset(*before, held), targets(1), record_terms=(), restarts=2, keep_all_restarts=True
        )
        assert found.all_restarts is not None
        assert np.isfinite(found.losses).all()
        start = run(preset(*before, replace(held, terms=(MSE,), steps=1)), targets(1), restarts=2)
        first_loss = start.losses[..., -1]
        # The first evaluation stands at the start, where the anchor is worth nothing.
        np.testing.assert_allclose(found.losses[..., len(before) * 20], first_loss, rtol=1e-4)
        np.testing.assert_allclose(found.all_restarts.loss, first_loss, rtol=0.05)


def test_statistics_are_asked_for_by_terms() -> None:
    for name in ("mahalanobis", "norm_from"):
        stage = Stage(
            (Variable("w", init=InitSpec("prior")),), (MSE, Term(name, variable="w")), steps=1
        )
        with pytest.raises(ValueError, match=r"needs params\['statistics'\]"):
            check_weights(linear()[0], Preset("p", (stage,), "", ""), {}, {})


def test_the_prior_of_p_draws_codes_towards_its_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    monkeypatch.setattr(model_statistics, "P_SAMPLES", 4_000)
    gen, params = linear()
    assert with_statistics(gen, params, preset(one()), {}) is params
    ends: list[Array] = []
    for weight in (0.0, 10.0):
        term = Term("mahalanobis", weight, variable="w")
        made = preset(one(terms=(MSE, term), steps=30, solver=SolverSpec("lm")))
        held = with_statistics(gen, params, made, {})[STATISTICS][P]
        p = to_p(run(made, targets(1)).latents["w"])
        white = regularizers.principal_coordinates(p, held["mean"], held["axes"], held["scales"])
        ends.append(jnp.mean(jnp.square(white)))
    assert ends[1] < 0.1 * ends[0]
