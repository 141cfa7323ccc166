"""The methods that find directions in a generator by name: one table, and `discover`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jaxinv.edits.discovery import (
    by_edits,
    by_generator,
    by_nets,
    by_scores,
    by_texts,
    first_layer_walks,
)
from jaxinv.edits.discovery.principal import ESTIMATORS
from jaxinv.edits.discovery.requests import Method, Request, Text, check_said
from jaxinv.edits.discovery.samples import usual_space
from jaxinv.edits.discovery.scores import check_scores
from jaxinv.edits.discovery.steerability import EDITS
from jaxinv.models.arguments import check_generator
from jaxinv.models.loading import generator_hash
from jaxinv.specs.checks import (
    check_choice,
    check_kind,
    check_number,
    check_seed,
    check_whole,
    told,
)

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params

METHODS: dict[str, Method] = {
    "interfacegan": Method(
        by_scores.interfacegan,
        "scores",
        ("z", "w", "s"),
        "Shen et al. 2020, InterFaceGAN: linear SVM",
    ),
    "regression": Method(
        by_scores.regression, "scores", ("z", "w", "s"), "least squares on the scores"
    ),
    "lda": Method(
        by_scores.discriminant,
        "scores",
        ("z", "w", "s"),
        "Fisher 1936: linear discriminant of high and low scores",
    ),
    "stylespace": Method(
        by_scores.channels, "scores", ("s",), "Wu et al. 2021, StyleSpace: channels"
    ),
    "regressor": Method(
        by_nets.regressor,
        "scores",
        ("w", "z"),
        "Zhuang et al. 2021: led by a net of pictures",
        ("keep",),
    ),
    "hijack-gan": Method(
        by_nets.hijack,
        "scores",
        ("w", "z"),
        "Wang et al. 2021, Hijack-GAN: constrained walk",
        ("keep",),
    ),
    "styleflow": Method(
        by_nets.styleflow,
        "scores",
        ("w", "z"),
        "Abdal et al. 2021, StyleFlow: conditional flow",
        ("keep",),
    ),
    "rig": Method(
        by_nets.rig,
        "scores",
        ("w", "z"),
        "Tewari et al. 2020, StyleRig and PIE: net of parameters",
        ("keep",),
    ),
    "style-intervention": Method(
        by_scores.intervention,
        "scores",
        ("s",),
        "Liu et al. 2020, Style Intervention: few channels",
        ("keep",),
    ),
    "sefa": Method(
        by_generator.factorise,
        "",
        ("w", "z"),
        "Shen & Zhou 2021, SeFa: closed-form factorisation",
        ("rows",),
    ),
    "ganspace": Method(
        by_generator.components,
        "",
        ("w", "s", "z"),
        "Härkönen et al. 2020, GANSpace: components",
        ("cut", "estimator"),
    ),
    "jacobian": Method(
        by_generator.spectra, "", ("w", "z"), "Ramesh et al. 2019: spectrum of the Jacobian"
    ),
    "reconstructor": Method(
        by_generator.told_apart, "", ("w", "z"), "Voynov & Babenko 2020: told apart by a net"
    ),
    "weights": Method(
        by_generator.weights,
        "",
        ("w", "z"),
        "Cherepkov et al. 2021: changes of weights, by curvature",
        ("layer",),
    ),
    "editing-in-style": Method(
        by_generator.regions,
        "",
        ("s",),
        "Collins et al. 2020, Editing in Style: regions",
        ("cut",),
    ),
    "steerability": Method(
        by_edits.steerability,
        "edit",
        ("w", "z"),
        "Jahanian et al. 2020: walks learned from edits",
    ),
    "steerability-steps": Method(
        by_edits.steerability_steps,
        "edit",
        ("w", "z"),
        "Jahanian et al. 2020: nonlinear walks learned from edits",
    ),
    "first-layer": Method(
        by_edits.first_layer_line, "edit", ("z",), "Spingarn et al. 2021: closed-form walks"
    ),
    "first-layer-steps": Method(
        by_edits.first_layer_steps,
        "edit",
        ("z",),
        "Spingarn et al. 2021: affine-diagonal recursion",
    ),
    "distillation": Method(
        by_edits.student,
        "move",
        ("w", "z"),
        "Viazovetskyi et al. 2020, StyleGAN2 Distillation: a student",
    ),
    "styleclip": Method(
        by_texts.global_directions,
        "texts",
        ("s",),
        "Patashnik et al. 2021, StyleCLIP: global direction",
    ),
    "styleclip-mapper": Method(
        by_texts.mapper, "text", ("w",), "Patashnik et al. 2021, StyleCLIP: latent mapper"
    ),
}
EDIT_NAMES = {
    **dict.fromkeys(("steerability", "steerability-steps"), tuple(EDITS)),
    **dict.fromkeys(("first-layer", "first-layer-steps"), tuple(first_layer_walks.SOURCES)),
}
USUAL = {"keep": {}, "rows": None, "cut": "", "estimator": "pca", "layer": ""}  # where none is said


def discover(
    method: str,
    gen: Generator,
    params: Params,
    *,
    scores: Any = None,
    keep: Mapping[str, Any] | None = None,
    edit: str = "",
    move: tuple[Way, float] | None = None,
    text: Text | None = None,
    space: str | None = None,
    samples: int = 2000,
    count: int = 1,
    name: str = "",
    rows: tuple[int, ...] | None = None,
    cut: str = "",
    estimator: str = "pca",
    layer: str = "",
    steps: int = 1000,
    seed: int = 0,
    report: Callable[[str], object] | None = None,
) -> list[Any]:
    """Directions, walks or a student of a generator, by a method of `METHODS`.

    Args:
        method: a name of `METHODS`.
        gen: the generator, with its `params`.
        params: its parameters.
        scores: of an attribute: [samples] numbers of the samples that `draw_codes` draws with this
            `space`, `samples` and `seed`, or a function of pictures uint8 [b, h, w, 3] to [b].
        keep: the same of attributes that must not move, by name, for methods that take them.
        edit: what a walk is to do to pictures (`EDIT_NAMES`).
        move: a direction or walk and an amount, for a student that learns to make that edit.
        text: what a text asks for, of methods that a text leads.
        space: "z", "w" or "s"; as a rule w, z without a W, s where the method is of channels.
        samples: how many codes are drawn, by the methods that draw.
        count: directions wanted, by the methods that find several.
        name: what they are called, with a number where there are several; the method by default.
        rows: of W+ for SeFa, and those that its directions move; None is all.
        cut: a step of the generator (`Generator.steps`) whose features GANSpace and Editing in
            Style look at.
        estimator: of GANSpace: a name of `ESTIMATORS`.
        layer: the array of weights that "weights" changes; default: the middle one.
        steps: of training.
        seed: of every draw.
        report: takes lines about the progress.

    Returns:
        `Direction`s, `Walk`s or a `Student`. Effects are measured on samples that they were not
        found from.

    Raises:
        ValueError: before anything is compiled, for unknown methods, spaces and edits, scores that
            are missing, constant, not finite or not one for each sample, what a method does not
            take; and where a package is not installed.
    """
    check_choice("method", method, tuple(METHODS))
    check_generator(gen, params)
    plan = METHODS[method]
    for what, value, least in (("samples", samples, 2), ("count", count, 1), ("steps", steps, 1)):
        check_whole(what, value, least)
    check_seed(seed)
    held = dict(keep or {})
    called = name or edit or (text.words if isinstance(text, Text) else method)
    asked = Request(gen, params, _space(method, gen, space), samples, count, called, scores)
    asked = replace(asked, keep=held, edit=edit, move=move, text=text, rows=rows, cut=cut)
    asked = replace(asked, estimator=estimator, layer=layer, steps=steps, seed=seed, report=report)
    _check_taken(method, asked)
    _check_needs(method, asked)
    try:
        found = plan.find(asked)
    except ImportError as error:
        raise ValueError(f"{error}: pip install 'jaxinv[edit]'") from error
    owner = {"generator": generator_hash(params), "generator_name": gen.spec.name}
    return [
        replace(one, **owner, source=", ".join(filter(None, (plan.reference, one.source))))
        for one in found
    ]


def _space(method: str, gen: Generator, space: str | None) -> str:
    spaces = METHODS[method].spaces
    allowed = [one for one in spaces if one in gen.spec.spaces]
    if not allowed:
        raise ValueError(
            f"method {method!r} looks in {', '.join(spaces)}; generator {gen.spec.name!r} has "
            f"{', '.join(gen.spec.spaces)}"
        )
    chosen = usual_space(gen) if space is None and usual_space(gen) in allowed else space
    chosen = allowed[0] if chosen is None else chosen
    check_choice(f"space of method {method!r}", chosen, allowed)
    return chosen


def _check_needs(method: str, asked: Request) -> None:
    """Raise `ValueError` unless scores, edit and move are there where they are needed, only."""
    needs, scores = METHODS[method].needs, asked.scores
    if (scores is not None) != (needs == "scores"):
        wanted = "scores of an attribute" if needs == "scores" else "no scores"
        raise ValueError(f"scores {told(scores)} for method {method!r}; allowed: {wanted}")
    if needs == "edit":
        check_choice(f"edit of method {method!r}", asked.edit, EDIT_NAMES[method])
    elif asked.edit:
        raise ValueError(f"edit {asked.edit!r} for method {method!r}; allowed: none")
    check_said(method, asked.text, needs)
    if (asked.move is not None) != (needs == "move"):
        wanted = "a direction and an amount" if needs == "move" else "none"
        raise ValueError(f"move {told(asked.move)} for method {method!r}; allowed: {wanted}")
    if asked.move is not None:
        check_kind("move", asked.move, tuple, ": a direction and an amount")
        check_number("amount of a move", asked.move[-1])
    if asked.name in asked.keep:
        raise ValueError(f"{asked.name!r} is to change and to be kept; allowed: one of them")
    for what, one in (("", scores), *asked.keep.items()):
        if one is not None and not callable(one):
            given = check_scores(one, f"scores of {what!r}" if what else "scores")
            if len(given) != asked.samples:
                raise ValueError(
                    f"{len(given)} scores for {asked.samples} samples; allowed: one for each"
                )


def _check_taken(method: str, asked: Request) -> None:
    """Raise `ValueError` for an option that the method does not look at, or an unknown value."""
    for option, usual in USUAL.items():
        value = getattr(asked, option)
        if value != usual and option not in METHODS[method].takes:
            takers = ", ".join(name for name, one in METHODS.items() if option in one.takes)
            shown = ", ".join(value) if option == "keep" else value
            raise ValueError(
                f"{option} {shown!r} for method {method!r}; allowed: none ({takers} take it)"
            )
    check_choice("estimator", asked.estimator, tuple(ESTIMATORS))
    if asked.cut:
        check_choice(f"cut of generator {asked.gen.spec.name!r}", asked.cut, asked.gen.steps)
    if asked.layer:
        check_choice("layer", asked.layer, by_generator.kernels(asked.params))
