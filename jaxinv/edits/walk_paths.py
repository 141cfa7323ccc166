"""Saved walks as paths: one maker for every kind of walk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.curves import circle, learned_steps, recursion
from jaxinv.edits.discovery import flows
from jaxinv.edits.discovery.local_styles import step_across
from jaxinv.edits.discovery.regressor_walks import black_box_end, rig_step
from jaxinv.edits.discovery.steerability import step
from jaxinv.edits.discovery.styleclip import STEP, mapped
from jaxinv.edits.discovery.training import mlp
from jaxinv.edits.paths import Path, code_at
from jaxinv.edits.stated_facts import check_generator_of
from jaxinv.edits.walks import Walk
from jaxinv.io.latent_files import fit_latents
from jaxinv.models.loading import generator_hash
from jaxinv.specs.checks import check_kind

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Latents, Params

Change = Callable[["Array", float], Any]  # (codes, amount) -> codes


def walk_path(walk: Walk, gen: Generator, params: Params) -> Path:
    """The path of a saved walk in a generator.

    Every row of a w+ moves as a w of its own. The way back of "recursion", "circle",
    "intervention" and "channels" is exact, that of the others as exact as their nets. Raises
    `ValueError` naming both generators, spaces or widths where they differ, and for channels
    without a reference.
    """
    check_kind("walk", walk, Walk)
    if walk.generator:
        check_generator_of(walk, gen.spec, generator_hash(params))
    if walk.space not in gen.spec.spaces:
        raise ValueError(
            f"walk {walk.name!r} lies in {walk.space!r}; generator {gen.spec.name!r} has "
            f"{', '.join(gen.spec.spaces)}"
        )
    widths = {"z": gen.spec.z_dim, "s": sum(gen.spec.styles)}
    widths |= dict.fromkeys(("w", "w+"), gen.spec.w_dim)
    if walk.width != widths[walk.space]:
        raise ValueError(
            f"walk {walk.name!r} moves codes of {walk.width} numbers in {walk.space!r}; generator "
            f"{gen.spec.name!r} allows {widths[walk.space]}"
        )
    return _MAKERS[walk.kind](walk, gen.spec.styles)


def mix_channels(
    gen: Generator, params: Params, ends: tuple[Latents, Latents], walk: Walk
) -> Latents:
    """Latents of ONE sample with the channels of a walk "channels" taken over from another.

    `ends` are the latents of both, without a leading axis; what else draws is that of the first.
    Collins et al. 2020, equation 5. Raises `ValueError` for another kind of walk, and as
    `walk_path` does.
    """
    check_kind("walk", walk, Walk)
    if walk.kind != "channels":
        raise ValueError(f"walk {walk.name!r} is of kind {walk.kind!r}; allowed: 'channels'")
    content, style = (fit_latents(gen.spec, one) for one in ends)
    query = {"query": walk.arrays["query"], "reference": np.zeros(walk.width, np.float32)}
    walk_path(replace(walk, arrays=query), gen, params)  # says what does not fit, before codes do
    reference = np.concatenate(code_at(gen, params, style, "s"))
    path = walk_path(replace(walk, arrays={**query, "reference": reference}), gen, params)
    return path.apply(gen, params, content, 1.0)


def _recursion(walk: Walk, styles: tuple[int, ...]) -> Path:
    del styles
    return recursion(walk.name, walk.space, walk.arrays["scale"], walk.arrays["shift"])


def _circle(walk: Walk, styles: tuple[int, ...]) -> Path:
    del styles
    fixed = list(walk.arrays.get("fixed", ()))
    return circle(walk.name, walk.space, walk.arrays["vector"], fixed=fixed)


def _steps(walk: Walk, styles: tuple[int, ...]) -> Path:
    del styles
    nets = [partial(step, walk.arrays[side]) for side in ("forward", "back")]
    return learned_steps(walk.name, walk.space, nets[0], nets[1])


def _of_rows(walk: Walk, move: Change) -> Path:
    """The path of a move of codes [n, d]."""

    def moved(code: Array, amount: float) -> Array:
        rows = jnp.asarray(code).reshape(-1, walk.width)
        return jnp.asarray(move(rows, amount), rows.dtype).reshape(code.shape)

    return Path(walk.name, walk.space, moved, shape=(walk.width,))


_edit_flow = jax.jit(flows.edit)


def _flow(walk: Walk, styles: tuple[int, ...]) -> Path:
    del styles

    def move(codes: Array, amount: float) -> Array:
        own = mlp(walk.arrays["measure"], codes)
        goal = own.at[:, walk.options["target"]].add(amount)
        moved = _edit_flow(walk.arrays["flow"], codes, own, goal) if amount else codes
        if not bool(jnp.isfinite(moved).all()):
            raise ValueError(
                f"walk {walk.name!r} by {amount:g} needs more than {flows.MOST_STEPS} steps of its "
                "flow; allowed: smaller amounts"
            )
        return moved

    return _of_rows(walk, move)


def _proxy(walk: Walk, styles: tuple[int, ...]) -> Path:
    del styles
    target, keep = walk.options["target"], tuple(walk.options["keep"])

    def move(codes: Array, amount: float) -> np.ndarray:
        return np.stack(
            [
                black_box_end(
                    walk.arrays["measure"],
                    np.asarray(one),
                    (target, keep),
                    length=amount,
                    step=walk.options["step"],
                )
                for one in codes
            ]
        )

    return _of_rows(walk, move)


def _rig(walk: Walk, styles: tuple[int, ...]) -> Path:
    del styles
    target = walk.options["target"]
    return _of_rows(
        walk,
        lambda codes, amount: rig_step(walk.arrays["change"], codes, target, amount),
    )


_mapped = jax.jit(mapped, static_argnames="axis")


def _mapper(walk: Walk, styles: tuple[int, ...]) -> Path:
    del styles

    def move(code: Array, amount: float) -> Array:
        rows = jnp.asarray(code)
        added = _mapped(walk.arrays["weights"], rows[None], axis=walk.options["axis"])[0]
        return rows + amount * STEP * added

    return Path(walk.name, walk.space, move, shape=(walk.width,))


def _of_channels(walk: Walk, styles: tuple[int, ...], move: Change, undo: Change) -> Path:
    """The path of moves of all channels of S in a row [C], there and back."""
    ends = np.cumsum(styles)[:-1]

    def laid_out(way: Change) -> Callable[[Any, float], Any]:
        def moved(code: Any, amount: float) -> tuple[Array, ...]:
            flat = jnp.concatenate(jax.tree.leaves(code))
            return tuple(jnp.split(jnp.asarray(way(flat, amount), flat.dtype), ends))

        return moved

    return Path(walk.name, walk.space, laid_out(move), laid_out(undo))


def _intervention(walk: Walk, styles: tuple[int, ...]) -> Path:
    normals, deviation = walk.arrays["normals"], walk.arrays["deviation"]

    @lru_cache(64)
    def change(amount: float) -> np.ndarray:
        return deviation * step_across(normals, walk.options["target"], amount)

    return _of_channels(
        walk,
        styles,
        lambda style, amount: style + change(amount),
        lambda style, amount: style - change(amount),
    )


def _channels(walk: Walk, styles: tuple[int, ...]) -> Path:
    if "reference" not in walk.arrays:
        raise ValueError(
            f"walk {walk.name!r} says which channels to take, not from where; allowed: "
            f"'jaxinv mix A B --channels FILE', or one with a reference"
        )
    query, reference = walk.arrays["query"], walk.arrays["reference"]

    def back(style: Array, amount: float) -> Array:
        left = 1 - amount * query
        if not left.all():
            raise ValueError(
                f"amount {amount:g} of {walk.name!r} leaves nothing of the picture's own channels, "
                "so that there is no way back; allowed: others"
            )
        return (style - amount * query * reference) / left

    return _of_channels(
        walk, styles, lambda style, amount: style + amount * query * (reference - style), back
    )


_MAKERS: dict[str, Callable[[Walk, tuple[int, ...]], Path]] = {
    "recursion": _recursion,
    "circle": _circle,
    "steps": _steps,
    "flow": _flow,
    "proxy": _proxy,
    "rig": _rig,
    "mapper": _mapper,
    "intervention": _intervention,
    "channels": _channels,
}
