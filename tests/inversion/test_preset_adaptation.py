"""Presets fitted to what was seen: terms that can look, starts, and noise."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.preset_adaptation import adapt_preset, with_cutoffs
from jaxinv.io import images
from jaxinv.io.image_ops import noise_level
from jaxinv.nn.resample import area_reduce, resize
from jaxinv.presets import PRESETS
from jaxinv.specs import InitSpec, Term, Variable, View, read_operator
from jaxinv.types import Latents
from tests.engine import MSE, SIDE, one, preset, run, targets
from tests.tiny import linear


def test_presets_lose_the_terms_that_cannot_see() -> None:
    default = PRESETS["default"]
    assert adapt_preset(default, (256, 256, 3)) is default
    assert adapt_preset(default, (256, 256, 1)) is default  # to nets grey is three equal channels
    assert adapt_preset(default, (8, 8, 3)) is default  # small pictures are enlarged for them
    kept = adapt_preset(default, (40,)).stages[0].terms
    assert kept == tuple(term for term in default.stages[0].terms if term.net is None)
    terms = (Term("mse"), Term("lpips", net="vgg16", view=View(256)))
    small = adapt_preset(preset(one(terms=terms)), (8, 8, 3)).stages[0].terms
    assert small == terms[:1]
    # Nothing is left out where nothing would be left to compare.
    projector = PRESETS["stylegan2-projector"]
    assert adapt_preset(projector, (40,)) is projector


@pytest.mark.parametrize("operator", ["fourier:share=0.2", "down:factor=2+fourier:share=0.2"])
def test_no_net_looks_at_measurements_and_no_start_is_guessed_from_them(operator: str) -> None:
    default = PRESETS["default"]
    seen = replace(default, operator=read_operator(operator))
    (stage,) = adapt_preset(seen, (256, 256, 3)).stages
    assert stage.nets == ()
    assert [variable.init.kind for variable in stage.variables] == ["mean"]
    assert stage.terms[0].weight == pytest.approx(default.stages[0].terms[0].weight / 0.2)
    blurred = replace(default, operator=read_operator("blur:sigma=4"))
    assert adapt_preset(blurred, (256, 256, 3)) is blurred


def test_the_search_in_noise_stops_at_its_strength() -> None:
    made = preset(one(terms=(Term("mse", 3.0, view=View(8)),)), one())
    stops = [stage.stop for stage in adapt_preset(made, (32, 32, 3), 0.2).stages]
    assert [stop.term for stop in stops if stop] == ["mse@8", "mse"]
    assert [stop.below for stop in stops if stop] == pytest.approx([0.05**2, 0.2**2])
    with pytest.raises(ValueError, match=r"noise of a known strength: stages with mse"):
        adapt_preset(PRESETS["stylegan2-projector"], (256, 256, 3), 0.2)


@pytest.mark.parametrize(("noise", "sides"), [(0.02, [None, 256, 96]), (0.05, [None, 128, 96])])
def test_nets_look_where_noise_has_averaged_out(noise: float, sides: list[int | None]) -> None:
    terms = (Term("mse"), *(t for t in PRESETS["restore"].stages[0].terms if t.net))
    kept = adapt_preset(preset(one(terms=terms)), (256, 256, 3), noise).stages[0].terms
    assert [term.view.size for term in kept] == sides
    loud = adapt_preset(preset(one(terms=terms)), (256, 256, 3), 0.8).stages[0].terms
    assert [term.view.size for term in loud] == [None, 40, 40]  # in less, nets see nobody
    assert {term.view.min_size for term in (*kept, *loud)} == {None}  # nor is noise enlarged


@pytest.mark.parametrize("side", [64, 96])
def test_noise_is_heard_in_enlarged_pictures_too(side: int) -> None:
    noise = 0.2 * np.random.default_rng(1).standard_normal((64, 64, 3)).astype(np.float32)
    assert noise_level(images.resize(noise, side)) == pytest.approx(0.2, rel=0.25)
    assert noise_level(np.zeros((side, side, 3), np.float32)) == 0


@pytest.mark.parametrize(
    ("shape", "operator", "noise", "expected"),
    [
        ((512, 512, 3), None, None, 0.5),
        ((256, 256, 3), None, None, 0.5),
        ((64, 64, 3), None, None, 2.0),
        ((128, 128, 1), "luma", None, 1.0),
        ((256, 256, 3), "fourier:share=0.25", None, 1.0),
        ((256, 256, 3), "blur:sigma=2", None, 0.5 * (16 * 3.14159) ** 0.5),
        ((768,), None, None, 8.0),
        ((256, 256, 3), None, 0.01, 0.5),
        ((256, 256, 3), None, 0.1, 2.0),  # as for 64 px
    ],
)
def test_priors_weigh_more_for_pictures_that_say_less(
    shape: tuple[int, ...], operator: str | None, noise: float | None, expected: float
) -> None:
    terms = (
        Term("mse"),
        *(Term("gaussian", 0.5, variable="w", reference_side=x) for x in (0, 256)),
    )
    made = preset(one(Variable("w"), terms=terms), operator=operator and read_operator(operator))
    _, fixed, prior = adapt_preset(made, shape, noise).stages[0].terms
    assert (fixed.weight, prior.weight) == pytest.approx((0.5, expected))


@pytest.mark.parametrize("restarts", [1, 2])
def test_detail_that_the_photograph_does_not_show_stays_that_of_the_pivot(restarts: int) -> None:
    gen, params = linear()
    images = np.stack([np.asarray(area_reduce(jnp.asarray(x), SIDE // 2)) for x in targets(2)])

    def detail(latents: Latents, which: int) -> np.ndarray:
        latents = jax.tree.map(lambda a: a[which], latents)
        full = np.asarray(gen.synthesize(params, latents))
        return full - np.asarray(resize(area_reduce(jnp.asarray(full), SIDE // 2), SIDE))

    first = one(Variable("w"), steps=5)
    pivots = run(preset(first), images, restarts=restarts).latents
    moved: list[float] = []
    for terms in (MSE, (*MSE, Term("high_pass_anchor", 1e4))):
        second = one(Variable("w+", init=InitSpec("previous")), terms=terms, steps=60)
        found = run(preset(first, second), images, restarts=restarts)
        if len(terms) > 1:  # what is recorded says where the anchor began
            assert found.preset.stages[1].terms[1].cutoff == SIDE // 2
        away = [detail(found.latents, i) - detail(pivots, i) for i in range(len(images))]
        moved.append(float(np.mean(np.square(away))))
    assert moved[1] < 1e-3 * moved[0]


def test_the_anchor_begins_above_what_was_photographed() -> None:
    made = preset(one(terms=(*MSE, Term("high_pass_anchor"), Term("high_pass_anchor", cutoff=64))))
    cut = [term.cutoff for term in with_cutoffs(made, 256).stages[0].terms]
    assert cut == [0, 256, 64]
    assert with_cutoffs(PRESETS["default"], 256) is PRESETS["default"]
