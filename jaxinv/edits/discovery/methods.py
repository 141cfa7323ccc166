"""The methods that find directions in a generator by name: one table, and `discover`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery import boundaries, first_layer_walks, principal, sefa, stylespace
from jaxinv.edits.discovery import latent_discovery as pairs
from jaxinv.edits.discovery.affines import first_layer, latent_weights
from jaxinv.edits.discovery.jacobian import spectrum
from jaxinv.edits.discovery.samples import draw_codes, score_samples, usual_space
from jaxinv.edits.discovery.scores import check_scores
from jaxinv.edits.discovery.steerability import EDITS, linear_walk
from jaxinv.edits.discovery.training import Training
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.arguments import check_generator
from jaxinv.models.generators.base import convert
from jaxinv.models.loading import generator_hash
from jaxinv.specs.checks import check_choice, check_seed, check_whole, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Params

LENGTH = "a step of length 1"
DEVIATION = "a standard deviation of the samples"
AT = 8  # codes over which Jacobian spectra are averaged
SCORED_SIDE = 256  # px of the pictures that are scored, or the generator's own
SIDE = 64  # px of the pictures that nets learn from


@dataclass(frozen=True)
class Request:
    """What a method is asked.

    Attributes:
        gen: the generator.
        params: its parameters.
        space: "z", "w" or "s".
        samples: how many codes are drawn.
        count: directions wanted.
        name: what they shall be called.
        scores: of the samples [n], or a function of pictures uint8 [b, h, w, 3]; None without.
        edit: of `steerability.EDITS` or of `first_layer_walks.SOURCES`; "" without.
        rows: of W+ that SeFa looks at; None is all.
        steps: of training.
        seed: of the draws.
        report: takes lines about the progress.
    """

    gen: Generator
    params: Params
    space: str
    samples: int = 2000
    count: int = 1
    name: str = ""
    scores: Any = None
    edit: str = ""
    rows: tuple[int, ...] | None = None
    steps: int = 1000
    seed: int = 0
    report: Any = None


@dataclass(frozen=True)
class Method:
    """One line of the table: what is called, what it needs, where it works, and whose it is.

    `needs` is "scores", "edit" or "" (nothing but the generator).
    """

    find: Callable[[Request], list[Direction]]
    needs: str
    spaces: tuple[str, ...]
    reference: str


def _direction(asked: Request, vector: np.ndarray, unit: str, **more: Any) -> Direction:
    if asked.space == "s":
        ends = np.cumsum(asked.gen.spec.styles)[:-1]
        vector = tuple(np.split(np.asarray(vector, np.float32), ends))  # type: ignore[assignment]
    return Direction(asked.name, asked.space, vector, unit=unit, **more)


def _several(asked: Request, vectors: np.ndarray, unit: str, **more: Any) -> list[Direction]:
    if len(vectors) == 1:
        return [_direction(asked, vectors[0], unit, **more)]
    named = [replace(asked, name=f"{asked.name}-{i:02d}") for i in range(len(vectors))]
    return [_direction(one, v, unit, **more) for one, v in zip(named, vectors, strict=True)]


def _scored(asked: Request) -> tuple[np.ndarray, np.ndarray]:
    codes, latents = draw_codes(asked.gen, asked.params, asked.space, asked.samples, asked.seed)
    if not callable(asked.scores):
        return codes, check_scores(asked.scores)
    score: Any = asked.scores
    size = min(SCORED_SIDE, asked.gen.spec.resolution)
    scores = score_samples(asked.gen, asked.params, latents, score, size=size, report=asked.report)
    return codes, scores


def _slope(codes: np.ndarray, scores: np.ndarray, vector: np.ndarray) -> float:
    """How much the score changes on a step of `vector`, over the samples."""
    place = (codes - codes.mean(0)) @ vector / (vector @ vector)
    return float(place @ (scores - scores.mean()) / (place @ place))


def _interfacegan(asked: Request) -> list[Direction]:
    codes, scores = _scored(asked)
    chosen = max(0.02, min(0.5, 200 / len(scores)))  # 2 % of few samples are too few
    found = boundaries.boundary(codes, scores, boundaries.select(scores, chosen))
    effects = {asked.name: _slope(codes, scores, found.normal)}
    return [_direction(asked, found.normal, LENGTH, effects=effects)]


def _regression(asked: Request) -> list[Direction]:
    codes, scores = _scored(asked)
    vector = boundaries.regression(codes, scores)
    effects = {asked.name: _slope(codes, scores, vector)}
    return [_direction(asked, vector, LENGTH, effects=effects)]


def _sefa(asked: Request) -> list[Direction]:
    found = sefa.factorise(latent_weights(asked.gen, asked.params, asked.rows), asked.count)
    rows = asked.rows if asked.gen.spec.w_dim else None
    return _several(asked, found.directions, LENGTH, rows=rows)


def _ganspace(asked: Request) -> list[Direction]:
    codes, _ = draw_codes(asked.gen, asked.params, asked.space, asked.samples, asked.seed)
    found = principal.principal(codes, asked.count)
    return _several(asked, found.directions * found.deviations[:, None], DEVIATION)


def _spingarn(asked: Request) -> list[Direction]:
    layer = first_layer(asked.gen, asked.params)
    amount = {"zoom": 1.2, "rotate": 15.0}.get(asked.edit, 1.0)
    change, defined = first_layer_walks.transform(asked.edit, amount, layer.grid[:2])
    step = first_layer_walks.linear_walk(layer, change, np.asarray(defined))
    units = {"zoom": "a factor of 1.2", "rotate": "15 degrees"}
    return [_direction(asked, step, units.get(asked.edit, "a cell of the first features"))]


def _stylespace(asked: Request) -> list[Direction]:
    codes, scores = _scored(asked)
    best = np.argsort(-scores)[: max(10, len(scores) // 20)]
    order, _ = stylespace.attribute_channels(codes[best], codes)
    deviations = codes.std(0)
    vectors = [stylespace.channel_direction(int(c), deviations) for c in order[: asked.count]]
    return _several(asked, np.stack(vectors), DEVIATION)


def _ramesh(asked: Request) -> list[Direction]:
    gen, params = asked.gen, asked.params
    codes, _ = draw_codes(gen, params, asked.space, AT, asked.seed)
    size = min(SIDE, gen.spec.resolution)
    label = _any_class(asked)

    def draw(code: Array) -> Array:
        return gen.synthesize(params, {asked.space: code, **label}, size)

    found = [spectrum(draw, jnp.asarray(code), asked.count) for code in codes]
    # The mean of the projectors, weighted by how fast pictures change: one basis for all codes.
    stacked = np.concatenate([one.directions * one.values[:, None] for one in found])
    return _several(asked, np.linalg.svd(stacked)[2][: asked.count], LENGTH)


def _any_class(asked: Request) -> dict[str, Array]:
    if asked.space != "z" or not asked.gen.spec.labels:
        return {}
    return {"label": draw_prior(asked.gen.spec, jax.random.key(asked.seed))["label"]}


def _learning(asked: Request) -> tuple[Callable[..., Array], Callable[..., Array], int]:
    """Pictures of codes, random codes, and the side of the pictures."""
    gen, size = asked.gen, min(SIDE, asked.gen.spec.resolution)
    label = _any_class(asked)

    def draw(params: Params, codes: Array) -> Array:
        return jax.vmap(lambda c: gen.synthesize(params, {asked.space: c, **label}, size))(codes)

    def sample(params: Params, key: Key, count: int) -> Array:
        def one(own: Key) -> Array:
            return convert(gen, params, draw_prior(gen.spec, own), asked.space)

        return jax.vmap(one)(jax.random.split(key, count))

    return draw, sample, size


def _steerability(asked: Request) -> list[Direction]:
    draw, sample, _ = _learning(asked)
    training = Training(asked.steps, 1e-2, seed=asked.seed, label=asked.edit, report=asked.report)
    vector, _ = linear_walk(draw, asked.params, sample, asked.edit, training)
    return [_direction(asked, vector, f"the slider of the edit {asked.edit!r}")]


def _voynov(asked: Request) -> list[Direction]:
    draw, sample, size = _learning(asked)
    width = draw_codes(asked.gen, asked.params, asked.space, 2)[0].shape[1]
    training = Training(asked.steps, 1e-3, seed=asked.seed, report=asked.report)
    found = pairs.discover(
        lambda params, codes, moves: draw(params, codes + moves),
        asked.params,
        sample,
        (asked.count, width, size),
        training,
    )
    source = f"told apart in {found.accuracy:.0%} of pairs"
    return _several(asked, found.directions, LENGTH, source=source)


METHODS: dict[str, Method] = {
    "interfacegan": Method(
        _interfacegan, "scores", ("z", "w", "s"), "Shen et al. 2020, InterFaceGAN: linear SVM"
    ),
    "regression": Method(_regression, "scores", ("z", "w", "s"), "least squares on the scores"),
    "stylespace": Method(_stylespace, "scores", ("s",), "Wu et al. 2021, StyleSpace: channels"),
    "sefa": Method(_sefa, "", ("w", "z"), "Shen & Zhou 2021, SeFa: closed-form factorisation"),
    "ganspace": Method(_ganspace, "", ("w", "s", "z"), "Härkönen et al. 2020, GANSpace: PCA"),
    "jacobian": Method(_ramesh, "", ("w", "z"), "Ramesh et al. 2019: spectrum of the Jacobian"),
    "reconstructor": Method(_voynov, "", ("w", "z"), "Voynov & Babenko 2020: told apart by a net"),
    "steerability": Method(
        _steerability, "edit", ("w", "z"), "Jahanian et al. 2020: walks learned from edits"
    ),
    "first-layer": Method(_spingarn, "edit", ("z",), "Spingarn et al. 2021: closed-form walks"),
}
EDIT_NAMES = {"steerability": tuple(EDITS), "first-layer": tuple(first_layer_walks.SOURCES)}


def discover(
    method: str,
    gen: Generator,
    params: Params,
    *,
    scores: Any = None,
    edit: str = "",
    space: str | None = None,
    samples: int = 2000,
    count: int = 1,
    name: str = "",
    rows: tuple[int, ...] | None = None,
    steps: int = 1000,
    seed: int = 0,
    report: Callable[[str], object] | None = None,
) -> list[Direction]:
    """Directions in a generator by a method of `METHODS`.

    Args:
        method: a name of `METHODS`.
        gen: the generator, with its `params`.
        params: its parameters.
        scores: of an attribute: [samples] numbers of the samples that `draw_codes` draws with this
            `space`, `samples` and `seed`, or a function of pictures uint8 [b, h, w, 3] to [b].
        edit: what a walk is to do to pictures (`EDIT_NAMES`).
        space: "z", "w" or "s"; as a rule w, z without a W, s where the method is of channels.
        samples: how many codes are drawn, by the methods that draw.
        count: directions wanted, by the methods that find several.
        name: what they are called, with a number where there are several; the method by default.
        rows: of W+ for SeFa, and those that its directions move; None is all.
        steps: of training.
        seed: of every draw.
        report: takes lines about the progress.

    Raises:
        ValueError: before anything is compiled, for unknown methods, spaces and edits, scores that
            are missing, constant, not finite or not one for each sample; and where a package is not
            installed.
    """
    check_choice("method", method, tuple(METHODS))
    check_generator(gen, params)
    plan = METHODS[method]
    allowed = [one for one in plan.spaces if one in gen.spec.spaces]
    if not allowed:
        raise ValueError(
            f"method {method!r} looks in {', '.join(plan.spaces)}; generator {gen.spec.name!r} has "
            f"{', '.join(gen.spec.spaces)}"
        )
    chosen = usual_space(gen) if space is None and usual_space(gen) in allowed else space
    chosen = allowed[0] if chosen is None else chosen
    check_choice(f"space of method {method!r}", chosen, allowed)
    for what, value, least in (("samples", samples, 2), ("count", count, 1), ("steps", steps, 1)):
        check_whole(what, value, least)
    check_seed(seed)
    _check_needs(method, scores, edit, samples)
    asked = Request(gen, params, chosen, samples, count, name or edit or method, scores, edit)
    asked = replace(asked, rows=rows, steps=steps, seed=seed, report=report)
    try:
        found = plan.find(asked)
    except ImportError as error:
        raise ValueError(f"{error}: pip install 'jaxinv[edit]'") from error
    owner = {"generator": generator_hash(params), "generator_name": gen.spec.name}
    return [
        replace(one, **owner, source=", ".join(filter(None, (plan.reference, one.source))))
        for one in found
    ]


def _check_needs(method: str, scores: Any, edit: str, samples: int) -> None:
    needs = METHODS[method].needs
    if (scores is not None) != (needs == "scores"):
        wanted = "scores of an attribute" if needs == "scores" else "no scores"
        raise ValueError(f"scores {told(scores)} for method {method!r}; allowed: {wanted}")
    if needs == "edit":
        check_choice(f"edit of method {method!r}", edit, EDIT_NAMES[method])
    elif edit:
        raise ValueError(f"edit {edit!r} for method {method!r}; allowed: none")
    if scores is not None and not callable(scores):
        given = check_scores(scores)
        if len(given) != samples:
            raise ValueError(f"{len(given)} scores for {samples} samples; allowed: one for each")
