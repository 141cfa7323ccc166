"""What presets may say: every impossible combination is refused when it is made, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from jaxinv.latents import auxiliary_variables, codecs, spaces
from jaxinv.models.features.backbones import NETS as TRUNKS
from jaxinv.models.generators import weight_deltas
from jaxinv.presets import PRESETS
from jaxinv.solvers import hooks
from jaxinv.solvers.basin_cma import BASINS
from jaxinv.solvers.basin_cma import Options as Basins
from jaxinv.solvers.first_order import TRANSFORMS, Extras
from jaxinv.solvers.layerwise import METHODS
from jaxinv.solvers.lbfgs import Options
from jaxinv.solvers.levenberg_marquardt import Options as Products
from jaxinv.solvers.registry import OTHERS
from jaxinv.specs import (
    GeneratorSpec,
    Hook,
    InitSpec,
    Jitter,
    Preset,
    Schedule,
    SolverSpec,
    Stage,
    Stop,
    Term,
    Variable,
    View,
    labels,
    vocabulary,
)
from jaxinv.specs.vocabulary import (
    CLASSES,
    CODECS,
    DELTA_FORMS,
    HOOKS,
    INCOMPATIBLE,
    INITS_BY_SPACE,
    LATENT_SPACES,
    LAYERS,
    LAYERWISE,
    NETWORK_VARIABLES,
    OPTIONS,
    OUTPUT_VARIABLES,
    SPACES,
)

MSE = Term("mse")
W, WPLUS = Variable("w"), Variable("w+")
NOISE = Variable("noise", init=InitSpec("stored"))
LBFGS = SolverSpec("lbfgs")


def stage(*variables: Variable, **others: Any) -> Stage:
    return Stage(**{"variables": variables or (W,), "terms": (MSE,), "steps": 5, **others})


def preset(*stages: Stage, **others: Any) -> Preset:
    return Preset(**{"name": "p", "stages": stages, "summary": "", "reference": "", **others})


# Each line: how to make something that cannot be, and what the message must say.
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: Schedule("linear"), "unknown schedule 'linear'; allowed: constant, nv_ramp"),
    (lambda: Schedule("nv_ramp", rise=0), "rise must be above 0.0"),
    (lambda: Schedule("nv_ramp", fall=float("nan")), "fall must be above 0.0"),
    (lambda: Schedule("exponential", rate=0), "schedule rate must lie between 0 and 1, got 0"),
    (lambda: Schedule("one_cycle_drop", drop=1.0), "schedule drop must lie between 0 and 1"),
    (lambda: Schedule("multi_step", points=((0.5, 0.1), (0.2, 0.1))), "points must be rising"),
    (lambda: Schedule("multi_step", points=((0.5, 2.0),)), "factors in .0, 1., got"),
    (lambda: View(4), "view size must be a whole number of at least 8, got 4"),
    (lambda: View(min_size=4), "least view size must be a whole number of at least 8, got 4"),
    (lambda: View(12.5), "whole number"),  # pyright: ignore[reportArgumentType]
    (lambda: View(crop=(0.5, 0, 0.6, 1)), r"crop .* must lie in \[0, 1\]"),
    (lambda: View(crop=(0, -0.1, 0.5, 0.5)), "must lie in"),
    (lambda: View(crop=(0, 0, 0, 1)), "must lie in"),
    (lambda: Term("ssim"), "unknown term 'ssim'; allowed: mse, l1, lpips"),
    (lambda: Term("mse", float("nan")), "weight of term 'mse' must be at least 0.0"),
    (lambda: Term("mse", -1), "must be at least 0.0 and finite, got -1"),
    (lambda: Term("mse", float("inf")), "finite, got inf"),
    (lambda: Term("mse", reduction="median"), "unknown reduction 'median'; allowed: mean, sum"),
    (lambda: Term("lpips"), "unknown net of term 'lpips' 'None'; allowed: alexnet, vgg16"),
    (lambda: Term("lpips", net="squeeze"), "'squeeze'; allowed: alexnet, vgg16"),
    (
        lambda: Term("lpips", net="vgg16", layers=("conv1_1",)),
        "'conv1_1'; allowed: relu1_2, relu2_2",
    ),
    (lambda: Term("features", net="alexnet"), "needs layers; allowed: conv1, relu1"),
    (lambda: Term("features", net="alexnet", layers=("conv9",)), "'conv9'; allowed: conv1, relu1"),
    (lambda: Term("mse", net="vgg16"), "term 'mse' takes no net, got 'vgg16'"),
    (lambda: Term("mse", variable="w"), "term 'mse' takes no variable"),
    (lambda: Term("mse", margin=0.1), "term 'mse' takes no margin"),
    (lambda: Term("gaussian"), "unknown variable of term 'gaussian' 'None'; allowed: z, z"),
    (lambda: Term("gaussian", variable="theta"), r"'theta'; allowed: z, z\+, w, w\+"),
    (lambda: Term("gaussian", variable="w", margin=-1), "margin must be at least 0.0"),
    (lambda: Term("gaussian", variable="w", rows=(0, 1)), "takes no rows"),
    (lambda: Term("gaussian", variable="w+", rows=(2, 2)), "term rows must be .*0 <= first < last"),
    (lambda: Term("gaussian", variable="w", view=View(64)), "takes no view"),
    (lambda: Term("gaussian", variable="w", reduction="sum"), "takes no reduction"),
    (
        lambda: Term("gaussian", variable="w", reference_side=-1),
        "reference_side must be a whole number of at least 0",
    ),
    (
        lambda: Term("mse", reference_side=256),
        "takes no reference_side, got 256; allowed with: gaussian, row_spread",
    ),
    (lambda: Term("row_spread", variable="w"), r"'w'; allowed: w\+"),
    (lambda: Term("noise_autocorrelation", variable="noise"), "takes no variable"),
    (lambda: InitSpec("random"), "unknown initialiser 'random'; allowed: default, mean, prior"),
    (lambda: InitSpec(spread=-1), "init spread must be at least 0.0"),
    (lambda: Variable("p"), r"unknown space 'p'; allowed: z, z\+, w, w\+, s, noise"),
    (lambda: Variable("w", codec="cosh"), "unknown codec 'cosh'; allowed: identity, whiten"),
    (lambda: Variable("w", codec="tanh"), r"space of codec 'tanh' 'w'; allowed: z, z\+"),
    (
        lambda: Variable("w", codec="gradient-axes"),
        r"space of codec 'gradient-axes' 'w'; allowed: w\+",
    ),
    (
        lambda: Variable("w+", "gradient-axes", tie=(0, 0)),
        r"'gradient-axes' with tie \(0, 0\); allowed: untied",
    ),
    (
        lambda: Term("gaussian", variable="w+", row_range=(0.7, 1.2)),
        "row_range must be two rising fractions",
    ),
    (lambda: Term("mse", row_range=(0.7, 1.0)), "takes no row_range"),
    (lambda: Variable("z", codec="whiten"), r"codec 'whiten' 'z'; allowed: w, w\+"),
    (
        lambda: Variable("noise", init=InitSpec("mean")),
        "start of 'noise' 'mean'; allowed: stored, prior, zeros",
    ),
    (
        lambda: Variable("w", init=InitSpec("stored")),
        "start of 'w' 'stored'; allowed: mean, prior, best-of",
    ),
    (lambda: Variable("w", tie=(0, 0)), r"tie of 'w'; allowed: w\+"),
    (lambda: Variable("s", freeze=(0, 1)), r"freeze of 's'; allowed: w\+, z\+, noise"),
    (lambda: Variable("w+", tie=(0, 2)), r"every code from 0 to its largest, got \(0, 2\)"),
    (lambda: Variable("w+", tie=(-1, 0)), "every code from 0"),
    (lambda: Variable("w+", freeze=(3, 2)), "freeze must be"),
    (lambda: SolverSpec("newton"), "unknown solver 'newton'; allowed: adam, sgd"),
    (lambda: SolverSpec(learning_rate=0), "learning rate must be above 0.0"),
    (lambda: SolverSpec(learning_rate=float("nan")), "learning rate"),
    (lambda: SolverSpec("sgd", options=(("momentum", 0.9),)), "option of solver 'sgd' 'momentum'"),
    (lambda: SolverSpec("lbfgs", options=(("rate", 1),)), "'rate'; allowed: history, warmup"),
    (lambda: SolverSpec("lbfgs", options=(("history", 0),)), "lbfgs history must be .* least 1"),
    (lambda: SolverSpec("lbfgs", options=(("warmup", 2.5),)), "lbfgs warmup must be a whole"),
    (lambda: SolverSpec("lbfgs", schedule=Schedule("cosine")), "'cosine'; allowed: constant"),
    (lambda: SolverSpec("lm", options=(("products", 0),)), "lm products must be .* least 1"),
    (lambda: SolverSpec("lm", options=(("forcing", 1.0),)), "forcing must lie between 0 and 1"),
    (lambda: SolverSpec("lm", options=(("damping", 0.0),)), "lm damping must be above 0"),
    (lambda: SolverSpec("basin-cma", options=(("inner", 0),)), "inner must be .* least 1"),
    (lambda: SolverSpec("basin-de", schedule=Schedule("cosine")), "'basin-de' has schedule"),
    (lambda: SolverSpec("cma", options=(("population", 3),)), "cma population must be .* least 4"),
    (
        lambda: SolverSpec("hmc", options=(("leapfrog_steps", 0),)),
        "hmc leapfrog_steps must be .* least 1, got 0",
    ),
    (
        lambda: SolverSpec("mala", options=(("leapfrog_steps", 2),)),
        "'leapfrog_steps'; allowed: warmup, target",
    ),
    (
        lambda: SolverSpec("mala", options=(("target", 1),)),
        "target must lie between 0 and 1, got 1",
    ),
    (lambda: SolverSpec("sgld", options=(("temperature", 0),)), "sgld temperature must be above 0"),
    (lambda: SolverSpec("random", schedule=Schedule("cosine")), "'random' has schedule 'cosine'"),
    (lambda: Jitter(-1), "jitter scale"),
    (lambda: stage(steps=0), "steps must be a whole number of at least 1, got 0"),
    (lambda: stage(steps=2.5), "steps must be a whole number"),
    (lambda: stage(variables=()), r"at least one variable; allowed: z, z\+, w"),
    (lambda: stage(W, WPLUS), r"variables w, w\+; allowed: .* at most one of z, z\+, w, w\+, s"),
    (lambda: stage(NOISE, NOISE), "variables noise, noise; allowed: each space once"),
    (lambda: stage(terms=()), "at least one image term: mse, l1, lpips, features"),
    (lambda: stage(terms=(Term("checkerboard"),)), "at least one image term"),
    (lambda: stage(keep="first"), "unknown keep 'first'; allowed: best, last"),
    (lambda: Hook("fold", "z"), "unknown hook 'fold'; allowed: standardize, sphere"),
    (lambda: Hook("standardize", "w"), "variable of hook 'standardize' 'w'; allowed: noise"),
    (lambda: Hook("clamp", "z", bound=0), "bound of hook 'clamp' must be above 0"),
    (lambda: stage(hooks=(Hook("standardize", "noise"),)), "needs a free 'noise'; free: w"),
    (lambda: stage(terms=(MSE, Term("noise_autocorrelation"))), "needs a free 'noise'; free: w"),
    (lambda: stage(terms=(MSE, Term("gaussian", variable="z"))), "needs a free 'z'; free: w"),
    (lambda: stage(Variable("s"), jitter=Jitter()), r"needs a free 'z', .* or 'w\+'; free: s"),
    (lambda: stage(stop=Stop("l1", 1.0)), "unknown stop term 'l1'; allowed: mse"),
    (lambda: Stop(kind="never"), "unknown stop 'never'; allowed: below, plateau"),
    (lambda: Stop(kind="plateau", patience=0), "patience must be a whole number of at least 1"),
    (lambda: Variable("w", layers=(0.5,)), "layers of 'w'; allowed: features, mix"),
    (lambda: Variable("features"), r"'features' at \(\); allowed: at least one step"),
    (lambda: Variable("mix", layers=("a", "b"), num_codes=2), "'mix' at .*; allowed: one step"),
    (
        lambda: Variable("mix", layers=("a",)),
        "num_codes of 'mix' must be a whole number of at least 1",
    ),
    (
        lambda: Variable("features", layers=(1.5,)),
        "a fraction must lie above 0 and up to 1, got 1.5",
    ),
    (lambda: Variable("weights", form="thin"), "form of weights 'thin'; allowed: add, multiply"),
    (lambda: Variable("weights", form="low-rank"), "rank must be a whole number of at least 1"),
    (lambda: Variable("weights", step_range=(0.5, 0.5)), "part must be two rising fractions"),
    (lambda: Variable("transform", kinds=("turn",)), "'turn'; allowed: shift, scale, color"),
    (lambda: Variable("noise", num_codes=2), r"num_codes of 'noise'; allowed: z, z\+"),
    (lambda: stage(Variable("z", num_codes=2)), "num_codes needs a free 'mix'"),
    (
        lambda: stage(Variable("z", num_codes=2), Variable("mix", layers=(0.5,), num_codes=3)),
        r"with num_codes \[2, 3\]; allowed: the same",
    ),
    (
        lambda: stage(Variable("label"), Variable("embedding")),
        "at most one of .* and one of label, embedding",
    ),
    (
        lambda: stage(solver=SolverSpec("hmc"), jitter=Jitter()),
        "jitter with solver 'hmc'; allowed with: adam, .*lbfgs, lm",
    ),
    (lambda: stage(solver=LBFGS, keep="last"), "keep 'last' with solver 'lbfgs'"),
    (lambda: stage(solver=SolverSpec("de"), keep="last"), "keep 'last' with solver 'de'; .*: adam"),
    (
        lambda: stage(NOISE, solver=LBFGS, hooks=(Hook("standardize", "noise"),)),
        "hooks with solver 'lbfgs'; allowed with: adam",
    ),
    (preset, "preset 'p' has no stages"),
    (lambda: preset(stage(), restarts=0), "restarts must be a whole number of at least 1"),
    (
        lambda: preset(stage(Variable("w", init=InitSpec("previous")))),
        "stage 1 starts at 'previous', but it is the first",
    ),
    (
        lambda: preset(stage(WPLUS), stage(Variable("w", init=InitSpec("previous")))),
        r"space after 'w\+' .*stage 2\) 'w'; allowed: w\+, s",
    ),
    (lambda: GeneratorSpec("g", "a", 4, 8), "resolution must be a whole number of at least 8"),
    (lambda: GeneratorSpec("g", "a", 8, 0), "z_dim must be a whole number of at least 1"),
    (lambda: GeneratorSpec("g", "a", 8, 8, prior="cauchy"), "prior 'cauchy'; allowed: normal"),
    (lambda: GeneratorSpec("g", "a", 8, 8, labels=-1), "labels"),
]


@pytest.mark.parametrize(("make", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_impossible_combinations_are_refused(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


def test_what_is_possible_is_allowed() -> None:
    first = stage(
        Variable("w", codec="whiten"),
        Variable("noise", init=InitSpec("prior")),
        terms=(
            Term("lpips", net="vgg16", view=View(64, crop=(0.1, 0.2, 0.9, 0.8))),
            Term("noise_autocorrelation", 1e5),
            Term("gaussian", variable="noise", margin=0.5),
        ),
        hooks=(Hook("standardize", "noise"),),
        jitter=Jitter(),
        keep="last",
        stop=Stop("lpips-vgg16@64", 0.1),
    )
    second = stage(
        Variable("w+", init=InitSpec("previous"), tie=(0, 0, 1), freeze=(0, 1)),
        terms=(MSE, Term("row_spread", variable="w+", rows=(0, 2))),
        solver=LBFGS,
    )
    third = stage(replace(NOISE, init=InitSpec("previous")))
    made = preset(first, second, third)
    assert (made.steps, made.nets) == (15, ("vgg16",))
    assert second.spaces == ("w+",)


def test_labels_tell_terms_apart() -> None:
    view = View(64)
    terms = (
        MSE,
        Term("lpips", net="vgg16", view=view),
        Term("mse", view=view),
        Term("mse", view=replace(view, crop=(0.0, 0.0, 0.5, 0.5))),
        Term("gaussian", variable="w"),
        MSE,
        MSE,
    )
    expected = ("mse", "lpips-vgg16@64", "mse@64", "mse@64#2", "gaussian-w", "mse#2", "mse#3")
    assert labels(terms) == expected


def test_specs_are_values() -> None:
    assert preset(stage()) == preset(stage(), notes="another remark")
    assert hash(preset(stage())) == hash(preset(stage()))
    assert preset(stage()) != preset(stage(steps=6))
    with pytest.raises(FrozenInstanceError):
        MSE.weight = 2.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (GeneratorSpec("dcgan", "a", 64, 100), ("z",)),
        (GeneratorSpec("gan", "a", 64, 8, 8, 2), ("z", "z+", "w", "w+")),
        (
            GeneratorSpec("gan", "a", 64, 8, 8, 1, styles=(4,), noise=(4,), labels=3, embedding=2),
            (*LATENT_SPACES, "noise", *CLASSES),
        ),
    ],
)
def test_a_generator_has_the_spaces_of_its_parts(
    spec: GeneratorSpec, expected: tuple[str, ...]
) -> None:
    assert spec.spaces == expected


# --- every word has a meaning ---------------------------------------------------------------------


def test_words_are_those_that_the_library_knows() -> None:
    assert (
        set(spaces.SPACES) | {*NETWORK_VARIABLES, *OUTPUT_VARIABLES}
        == set(SPACES)
        == set(INITS_BY_SPACE)
    )
    assert set(weight_deltas.FORMS) == set(DELTA_FORMS)
    assert set(auxiliary_variables.SHAPES) == set(vocabulary.TRANSFORMS)
    assert set(codecs.CODECS) == set(CODECS)
    assert set(hooks.CHANGES) == set(HOOKS)
    assert set(METHODS) == set(LAYERWISE)
    assert {name: net.layers for name, net in TRUNKS.items()} == LAYERS


def test_options_are_those_that_the_solvers_take() -> None:
    assert set(OPTIONS) == {*TRANSFORMS, *OTHERS}
    assert set(INCOMPATIBLE) == set(OTHERS)
    assert set(OPTIONS["lbfgs"]) == set(Options._fields) - {"rate"}
    assert set(OPTIONS["lm"]) == set(Products._fields)
    assert all(set(OPTIONS[name]) == set(Basins._fields) for name in BASINS)
    for name, transform in TRANSFORMS.items():
        taken = inspect.signature(transform).parameters
        assert set(OPTIONS[name]) - set(Extras._fields) <= set(taken), name


def test_presets_say_what_they_are() -> None:
    for name, made in PRESETS.items():
        assert made.name == name
        assert made.summary
        assert made.reference
