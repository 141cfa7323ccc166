"""StyleGAN2 as it is trained here: its spec, random codes for it, its file, and growing it."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.io import checkpoints
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.generators.weight_deltas import NETWORK
from jaxinv.models.loading import build
from jaxinv.specs import GeneratorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Params, State

FILE = "generator.safetensors"
LAYOUT_ROWS = 18
SCHEMA = "1"


def small_stylegan2(
    name: str,
    size: int,
    widths: tuple[int, ...],
    *,
    latent: int = 128,
    mapping: int = 4,
    labels: int = 0,
    group: int = 4,
) -> GeneratorSpec:
    """The spec of a StyleGAN2 and a residual discriminator, both of `widths` at 4, 8, ... px.

    `latent` is the length of z and w, `mapping` the layers between them, `group` the pictures that
    the discriminator compares. Raises `ValueError` for widths that do not end at `size`.
    """
    ends = 4 << max(len(widths) - 1, 0)
    if not widths or size != ends:
        raise ValueError(
            f"{len(widths)} widths are those of {ends} px, the size is {size} px; allowed: one "
            f"width for each of 4, 8, 16 ... px up to the size"
        )
    styles = (widths[0], widths[0], *(n for a, b in pairwise(widths) for n in (a, b, b)))
    rows = 2 * len(widths)
    label = "embed" if labels else "none"
    plan = ("residual", widths, group, None, latent if labels else 1, label, mapping, latent)
    return GeneratorSpec(
        name,
        "stylegan2",
        size,
        z_dim=latent,
        w_dim=latent,
        rows=rows,
        styles=styles,
        noise=(4, *(4 << block for block in range(1, len(widths)) for _ in (0, 1))),
        layout18=tuple(range(rows)) if rows <= LAYOUT_ROWS else (),
        labels=labels,
        facts=(
            ("mapping_layers", mapping),
            ("label", label),
            ("label_width", latent),
            ("clamp", None),
            ("discriminator", ("progressive", *plan)),
        ),
    )


def draws(
    spec: GeneratorSpec, key: Key, count: int, *, mixing: float, labels: Array | None = None
) -> State:
    """What `count` random pictures are drawn from, each array with that leading axis.

    Codes z [z_dim] and "other", which takes over from row "start" on with probability `mixing`
    (Karras et al. 2019, StyleGAN, section 3.1); noise maps; labels where there are classes.
    """
    own, other, chosen, cut, *rest = jax.random.split(key, 4 + len(spec.noise))
    start = jax.random.randint(cut, (count,), 1, spec.rows)
    mixed = jax.random.bernoulli(chosen, mixing, (count,))
    found: State = {
        "z": jax.random.normal(own, (count, spec.z_dim)),
        "other": jax.random.normal(other, (count, spec.z_dim)),
        "start": jnp.where(mixed, start, spec.rows),
        "noise": tuple(
            jax.random.normal(k, (count, side, side))
            for k, side in zip(rest, spec.noise, strict=True)
        ),
    }
    return found if labels is None else {**found, "label": labels}


def codes(gen: Generator, params: Params, drawn: State) -> Array:
    """W+ [n, rows, w_dim] of `draws`."""

    def one(drawn: State) -> Array:
        given = (drawn["label"],) if "label" in drawn else ()
        first, second = (gen.map(params, drawn[name], *given) for name in ("z", "other"))
        later = jnp.arange(gen.spec.rows)[:, None] >= drawn["start"]
        return jnp.where(later, second, first)

    return jax.vmap(one)({name: drawn[name] for name in drawn if name != "noise"})


def pictures(gen: Generator, params: Params, w: Array, noise: tuple[Array, ...]) -> Array:
    """Pictures [n, s, s, 3] of codes [n, rows, w_dim] and noise maps."""
    return jax.vmap(lambda w, noise: gen.synthesize(params, {"w+": w, "noise": noise}))(w, noise)


def save_generator(
    path: Path, spec: GeneratorSpec, params: Params, source: str = "jaxinv train-generator"
) -> None:
    """Write a trained generator, and its discriminator, for `load_generator`."""
    metadata = {
        "format": "jaxinv",
        "schema": SCHEMA,
        "kind": "generator",
        "architecture": spec.architecture,
        "spec": json.dumps(asdict(spec)),
        "source": source,
        "licence": "that of the pictures it was trained on",
        "content_sha256": checkpoints.content_sha256(params),
    }
    checkpoints.save(path, params, metadata)


def growth(spec: GeneratorSpec, start: Params) -> list[str]:
    """What `grown` carries from a smaller pair of networks, and what starts anew, a line each.

    Raises `ValueError` where it would carry nothing.
    """
    gen = build(spec)
    fresh = {"generator": jax.eval_shape(gen.init, jax.random.key(0))}
    if gen.discriminator is not None:
        fresh[DISCRIMINATOR] = jax.eval_shape(gen.discriminator.init, jax.random.key(0))
    small = {"generator": start, DISCRIMINATOR: start.get(DISCRIMINATOR, {})}
    lines, total = list[str](), 0
    for network, arrays in fresh.items():
        parts: dict[str, list[bool]] = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
            names = [part.key for part in path]
            held = _held(small[network], names)
            place = names[1] if names[0] == NETWORK else names[0]
            parts.setdefault(place, []).append(held is not None and held.shape == leaf.shape)
        total += sum(map(sum, parts.values()))
        kept = ", ".join(name for name, same in parts.items() if all(same)) or "nothing"
        new = ", ".join(name for name, same in parts.items() if not all(same)) or "nothing"
        lines.append(f"{network}: carried {kept}; anew {new}")
    if not total:
        raise ValueError(f"no array of {spec.name!r} is carried from it; allowed: a smaller one")
    return lines


def _held(tree: Any, names: Sequence[str]) -> Any:
    """The array at a path of a nested dict; None if there is none."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def grown(params: dict[str, Params], start: Params) -> dict[str, Params]:
    """Parameters of both networks, with those of a smaller pair wherever it has the same array.

    `params` are {"generator", "discriminator"}, `start` those of a checkpoint. Images of new blocks
    start as nothing, so that at first the old picture is drawn, enlarged.
    """
    small = {"generator": start, DISCRIMINATOR: start.get(DISCRIMINATOR, {})}

    def take(path: Any, fresh: Array) -> Array:
        held = _held(small, [part.key for part in path])
        if held is not None and held.shape == fresh.shape:
            return jnp.asarray(held)
        image = path[-1].key == "weight" and path[-2].key.endswith("_torgb")
        return jnp.zeros_like(fresh) if image else fresh

    return jax.tree_util.tree_map_with_path(take, params)
