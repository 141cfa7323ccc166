"""Methods by name that need nothing but the generator."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery import latent_discovery as pairs
from jaxinv.edits.discovery import local_styles, principal, sefa
from jaxinv.edits.discovery.affines import latent_weights
from jaxinv.edits.discovery.jacobian import spectrum
from jaxinv.edits.discovery.requests import (
    DEVIATION,
    LENGTH,
    Request,
    any_class,
    learning,
    numbered,
    several,
    side,
)
from jaxinv.edits.discovery.samples import draw_codes
from jaxinv.edits.discovery.training import Training
from jaxinv.edits.walks import Walk
from jaxinv.models.arguments import samples_of
from jaxinv.models.generators.base import convert
from jaxinv.models.generators.weight_deltas import leaves, nested
from jaxinv.specs.checks import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Latents, Params

AT = 8  # codes over which derivatives are averaged
PROBES = 8  # random pictures for each code and region
WEIGHTS_STEP = 0.1  # of the length of an array of weights
DRAWN = ("noise", "const")  # arrays that are no maps from features to features
LEAST_SHARE = 0.5  # of what a channel does, in the region that it counts for


def factorise(asked: Request) -> list[Direction]:
    """What the first affine maps enlarge most."""
    found = sefa.factorise(latent_weights(asked.gen, asked.params, asked.rows), asked.count)
    rows = asked.rows if asked.gen.spec.w_dim else None
    return several(asked, found.directions, LENGTH, rows=rows)


def components(asked: Request) -> list[Direction]:
    """Principal, independent or sparse components, of codes or of features after a cut."""
    codes, latents = draw_codes(asked.gen, asked.params, asked.space, asked.samples, asked.seed)
    if not asked.cut:
        found = principal.principal(codes, asked.count, asked.estimator)
        return several(asked, found.directions * found.deviations[:, None], DEVIATION)
    features = _features(asked, latents)
    found = principal.principal(features, asked.count, asked.estimator)
    steps = principal.regress_latents(codes, principal.coordinates(found, features))
    unit = f"a standard deviation of the features after {asked.cut}"
    return several(asked, steps, unit)


def _features(asked: Request, latents: Latents) -> np.ndarray:
    """The features [n, h, w, c] of latents with a leading axis, after the cut that is asked for."""
    gen = asked.gen
    look = jax.jit(lambda params, one: gen.prefix(params, one, asked.cut)["x"])
    return np.stack([np.asarray(look(asked.params, one)) for one in samples_of(latents)])


def spectra(asked: Request) -> list[Direction]:
    """Along which pictures change fastest, over a few codes."""
    gen, params = asked.gen, asked.params
    codes, _ = draw_codes(gen, params, asked.space, AT, asked.seed)
    size, label = side(asked), any_class(asked)

    def draw(code: Array) -> Array:
        return gen.synthesize(params, {asked.space: code, **label}, size)

    found = [spectrum(draw, jnp.asarray(code), asked.count) for code in codes]
    # The mean of the projectors, weighted by how fast pictures change: one basis for all codes.
    stacked = np.concatenate([one.directions * one.values[:, None] for one in found])
    return several(asked, np.linalg.svd(stacked)[2][: asked.count], LENGTH)


def told_apart(asked: Request) -> list[Direction]:
    """A set that a small net can tell apart, learned with that net."""
    draw, sample = learning(asked)
    width = draw_codes(asked.gen, asked.params, asked.space, 2)[0].shape[1]
    training = Training(asked.steps, 1e-3, seed=asked.seed, report=asked.report)
    found = pairs.discover(
        lambda params, codes, moves: draw(params, codes + moves),
        asked.params,
        sample,
        (asked.count, width, side(asked)),
        training,
    )
    source = f"told apart in {found.accuracy:.0%} of pairs"
    return several(asked, found.directions, LENGTH, source=source)


def kernels(params: Any) -> list[str]:
    """Names of the arrays of the synthesis that are matrices or kernels, with "/" between."""
    held: Any = leaves(params["synthesis"])
    held = [(path, leaf) for path, leaf in held if path[-1] not in DRAWN]
    names = ["/".join(("synthesis", *path)) for path, leaf in held if np.ndim(leaf) > 1]
    return sorted(names, key=_counted)


def _counted(name: str) -> list[tuple[str, int]]:
    """A key of sorting by which b4 comes before b16."""
    return [(word, int(part or 0)) for word, part in re.findall(r"(\D+)(\d*)", name)]


def weights(asked: Request) -> list[Direction]:
    """Changes of an array of weights that move pictures most, by the curvature of the distance.

    The array is the one that is asked for, or else the middle one of the synthesis.
    """
    gen, params = asked.gen, asked.params
    names = kernels(params)
    layer = asked.layer or names[len(names) // 2]
    check_choice("layer", layer, names)
    path = tuple(layer.split("/"))
    held: Any = params
    for part in path:
        held = held[part]
    codes, label = draw_codes(gen, params, asked.space, AT, asked.seed)[0], any_class(asked)

    def draw(code: Array, change: Array | None) -> Array:
        changed = {} if change is None else {"weights": nested([(path, {"add": change})])}
        return gen.synthesize(params, {asked.space: code, **label, **changed}, side(asked))

    before = jax.jit(jax.vmap(lambda code: draw(code, None)))(jnp.asarray(codes))

    def distance(change: Array) -> Array:
        def one(given: tuple[Array, Array]) -> Array:
            return ((draw(given[0], change) - given[1]) ** 2).mean()

        return jax.lax.map(one, (jnp.asarray(codes), before)).mean()

    found, _ = pairs.curvature_basis(distance, np.shape(held), asked.count)
    length = WEIGHTS_STEP * float(np.linalg.norm(held))
    return [
        Direction(
            one.name,
            "weights",
            nested([(path, np.asarray(length * change, np.float32))]),
            unit=f"a tenth of the length of {layer}",
        )
        for one, change in zip(numbered(asked, len(found)), found, strict=True)
    ]


def regions(asked: Request) -> list[Walk]:
    """Regions of the picture, by their features, each with the channels of S that act there.

    What channels do is taken from derivatives of pictures, not from the features of their layer: it
    is the same for every architecture.
    """
    gen, params = asked.gen, asked.params
    cut = asked.cut or gen.steps[len(gen.steps) // 2]
    _, latents = draw_codes(gen, params, "w", min(asked.samples, AT), asked.seed)
    found = local_styles.regions(
        _features(replace(asked, cut=cut), latents), asked.count, seed=asked.seed
    )
    energy = np.zeros((asked.count, sum(gen.spec.styles)))
    measure, keys = _energies(asked, found.labels.shape[1]), jax.random.key(asked.seed)
    for index, (w, labels) in enumerate(zip(latents["w"], found.labels, strict=True)):
        style, key = convert(gen, params, {"w": w}, "s"), jax.random.fold_in(keys, index)
        for region in range(asked.count):
            mask = jnp.asarray(labels == region, float)
            energy[region] += np.asarray(measure(params, style, mask, key))
    shares = energy / np.maximum(energy.sum(0), 1e-30)
    budget = float(energy.shape[1])
    walks = []
    for index, one in enumerate(numbered(asked, asked.count)):
        query = local_styles.channel_query(shares, index, budget=budget, least=LEAST_SHARE)
        place = np.argwhere(found.labels == index)[:, 1:] / found.labels.shape[1:]
        where = place.mean(0) if len(place) else np.full(2, np.nan)
        size = (found.labels == index).mean()
        walks.append(
            Walk(
                one.name,
                "channels",
                "s",
                {"query": query},
                unit="all channels of the region taken over",
                source=(
                    f"{size:.0%} of pictures, centred {where[0]:.0%} from above and "
                    f"{where[1]:.0%} from the left; {int(query.sum())} channels"
                ),
            )
        )
    return walks


def _energies(asked: Request, side: int) -> Callable[..., Array]:
    """(params, style, mask [side, side], key) -> how strongly each channel [C] moves the mask.

    The squared derivatives of its pixels, added up: their expectation over random signs in these
    pixels, `PROBES` of them.
    """
    gen = asked.gen

    @jax.jit
    def energies(params: Params, style: Any, mask: Array, key: Key) -> Array:
        _, back = jax.vjp(lambda s: gen.synthesize(params, {"s": s}, side), style)

        def one(own: Key) -> Array:
            signs = jax.random.rademacher(own, (side, side, 3), float)
            return jnp.concatenate(back(signs * mask[..., None])[0]) ** 2

        return jax.lax.map(one, jax.random.split(key, PROBES)).mean(0)

    return energies
