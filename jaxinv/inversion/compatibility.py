"""What a preset asks of generator, images and weights: `ValueError` before any compile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxinv.inversion.layerwise import plan_of
from jaxinv.latents.auxiliary_variables import step_names
from jaxinv.losses.embeddings import embed
from jaxinv.losses.image_terms import layer_names, smallest_side
from jaxinv.losses.terms import TERMS
from jaxinv.losses.views import view_shape
from jaxinv.models.generators.weight_deltas import select
from jaxinv.models.statistics import ANCHORS, FLOW, STATISTICS
from jaxinv.operators import build as build_operator
from jaxinv.solvers.registry import build as build_solver
from jaxinv.specs.checks import check_choice
from jaxinv.specs.term_kinds import IMAGE, VARIABLE
from jaxinv.specs.term_kinds import TERMS as TERM_KINDS
from jaxinv.specs.vocabulary import (
    DISCRIMINATOR,
    EMBEDDERS,
    NETWORK_VARIABLES,
    OUTPUT_VARIABLES,
)

if TYPE_CHECKING:
    import numpy as np

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec, OperatorSpec, Preset, Stage, Term, Variable
    from jaxinv.types import Params


def check_preset(spec: GeneratorSpec, preset: Preset, size: int) -> None:
    """Raise `ValueError` unless the generator of `spec` and images of `size` px suit the preset.

    The message names the preset, its stage and the part that does not fit.
    """
    for number, stage in enumerate(preset.stages, start=1):
        where = f"preset {preset.name!r}, stage {number}"
        build_solver(stage.solver)  # says so if its package is not installed
        for variable in stage.variables:
            _check_variable(where, spec, variable)
        for term in stage.terms:
            _check_cloud(where, spec, term, size)
            _check_rows(where, spec, stage, term)
            _check_view(where, spec, term, size)


def check_weights(gen: Generator, preset: Preset, params: Params, nets: dict[str, Params]) -> None:
    """Raise `ValueError` unless the nets, statistics, steps and weights of the preset are there."""
    for variable in (v for stage in preset.stages for v in stage.variables):
        step_names(gen, variable.layers)
        if variable.space == "weights":
            select(params, gen.steps, variable.select, variable.step_range)
    missing = sorted(set(preset.nets) - set(nets))
    if missing:
        raise ValueError(
            f"preset {preset.name!r} needs the nets {', '.join(missing)}; "
            f"given: {', '.join(sorted(nets)) or 'none'}"
        )
    check_outputs(tuple(term for stage in preset.stages for term in stage.terms), nets)
    _check_discriminator_term(gen, preset, params)
    terms = (term for stage in preset.stages for term in stage.terms)
    by_w = [term.name for term in terms if "w" in term.kind.statistics]
    if by_w and not gen.spec.w_dim:
        raise ValueError(
            f"preset {preset.name!r} has a term {by_w[0]!r}, which needs a W; generator "
            f"{gen.spec.name!r} has {', '.join(gen.spec.spaces)}"
        )
    hulls = any(v.codec == "hull" for stage in preset.stages for v in stage.variables)
    if hulls and ANCHORS not in params.get(STATISTICS, {}):
        raise ValueError(
            f"preset {preset.name!r} searches between anchors, which generator {gen.spec.name!r} "
            f"lacks; allowed: what `jaxinv personalize` has made"
        )
    flows = any(v.codec == "flow" for stage in preset.stages for v in stage.variables)
    if flows and FLOW not in params.get(STATISTICS, {}):
        raise ValueError(
            f"preset {preset.name!r} searches in a learned prior, which generator "
            f"{gen.spec.name!r} lacks; allowed: parameters of `latent_models.with_flow`"
        )
    if STATISTICS not in params and any(map(_needs_statistics, preset.stages)):
        raise ValueError(
            f"preset {preset.name!r} needs params[{STATISTICS!r}], the mean and the axes of W; "
            f"`load_generator` adds them, `models.statistics.w_statistics` computes them"
        )


def check_outputs(terms: tuple[Term, ...], nets: dict[str, Params]) -> None:
    """Raise `ValueError` unless the nets of terms have the outputs that these compare."""
    image = jax.ShapeDtypeStruct((64, 64, 3), jnp.float32)
    for term in (term for term in terms if term.net in EMBEDDERS):
        found = jax.eval_shape(partial(embed, str(term.net)), nets[str(term.net)], image)
        for layer in term.layers:
            check_choice(f"layer of {term.net!r}", layer, tuple(found))


def check_vectors(preset: Preset, nets: dict[str, Params], vectors: dict[str, np.ndarray]) -> None:
    """Raise `ValueError` unless vectors [B, n] are as long as what nets see of pictures.

    Of a text and a picture tower that do not belong together, as a rule they are not.
    """
    image = jax.ShapeDtypeStruct((64, 64, 3), jnp.float32)
    for term in (t for stage in preset.stages for t in stage.terms if t.target in vectors):
        found = jax.eval_shape(partial(embed, str(term.net)), nets[str(term.net)], image)
        (layer,) = layer_names(term)
        given, wanted = vectors[term.target].shape[1], found[layer].size
        if given != wanted:
            raise ValueError(
                f"{term.target!r} of preset {preset.name!r} is {given} numbers, and net "
                f"{term.net!r} sees pictures as {wanted}; allowed: one space for both"
            )


def source_side(resolution: int, operator: OperatorSpec, shape: tuple[int, ...]) -> int:
    """Side of the clean images of which an operator makes measurements of `shape`.

    The generator's resolution, a half, a quarter ... of it, or whatever side the operator makes the
    shape of: 192 px for 48 px that are a fourth. Raises `ValueError` if it is none.
    """
    sides = [resolution >> k for k in range(resolution.bit_length()) if resolution >> k >= 8]
    found: list[str] = []
    others = (*shape[:1], _scaled(resolution, operator, shape))
    for side in (*sides, *(s for s in others if s not in sides and 8 <= s <= resolution)):
        try:
            made = build_operator(operator, (side, side, 3)).shape
        except ValueError as error:
            found.append(f"{side} px: {error}")
            continue
        if tuple(made) == tuple(shape):
            return side
        found.append(f"{side} px give {list(made)}")
    raise ValueError(
        f"operator {operator.name!r} and images {list(shape)}; allowed: {'; '.join(found)}"
    )


def _scaled(resolution: int, operator: OperatorSpec, shape: tuple[int, ...]) -> int:
    """The side that an operator scales to that of `shape`, if it scales; else 0."""
    try:
        made = build_operator(operator, (resolution, resolution, 3)).shape
    except ValueError:
        return 0
    return round(shape[0] * resolution / made[0]) if len(made) == len(shape) == 3 else 0


def check_measured(gen: Generator, preset: Preset, shape: tuple[int, ...], size: int) -> None:
    """Raise `ValueError` unless stages suit measurements [h, w, c] of images of `size` px."""
    for number, stage in enumerate(preset.stages, start=1):
        where = f"preset {preset.name!r}, stage {number}"
        if any(v.init.kind == "layerwise" for v in stage.variables):
            _check_layerwise(gen, preset, number, size)
        own = tuple(term.label for term in stage.terms if term.net == DISCRIMINATOR)
        if (stage.nets or own) and shape[2] != 3:
            nets = ", ".join((*stage.nets, *own))
            raise ValueError(f"{where} looks with {nets} at {shape[2]} channels")
        if stage.pgd_step_size and preset.operator is not None:
            made = build_operator(preset.operator, (size, size, 3))
            if made.adjoint is None:
                raise ValueError(
                    f"{where} has a pgd_step_size, and operator {preset.operator.name!r} no "
                    f"adjoint; allowed: linear operators"
                )


def _check_layerwise(gen: Generator, preset: Preset, number: int, size: int) -> None:
    plan_of(gen)
    if number > 1 or preset.operator is not None or size != gen.spec.resolution:
        raise ValueError(
            f"preset {preset.name!r}, stage {number} starts at 'layerwise': images of {size} px, "
            f"operator {preset.operator}; allowed: in the first stage, {gen.spec.resolution} px, "
            f"no operator (but masks)"
        )


def _needs_statistics(stage: Stage) -> bool:
    codes = [v for v in stage.variables if v.space in ("w", "w+", "s")]
    starts = ("mean", "learned")
    return (
        stage.jitter is not None
        or any(term.kind.statistics for term in stage.terms)
        or any(v.codec != "identity" or v.init.kind in starts for v in codes)
    )


def _codes(spec: GeneratorSpec, variable: Variable) -> int:
    """Number of codes that a variable in rows has, or of noise maps."""
    if variable.space == "noise":
        return len(spec.noise)
    return max(variable.tie) + 1 if variable.tie else spec.rows


def _check_variable(where: str, spec: GeneratorSpec, variable: Variable) -> None:
    allowed = (*spec.spaces, *NETWORK_VARIABLES, *OUTPUT_VARIABLES)
    if variable.space not in allowed:
        raise ValueError(
            f"{where} frees {variable.space!r}, which generator {spec.name!r} does not have; "
            f"allowed: {', '.join(allowed)}"
        )
    if variable.tie and len(variable.tie) != spec.rows:
        raise ValueError(
            f"{where} ties {len(variable.tie)} rows; generator {spec.name!r} has {spec.rows}"
        )
    if variable.freeze is not None:
        codes, (first, last) = _codes(spec, variable), variable.freeze
        if last > codes or last - first == codes:
            raise ValueError(
                f"{where} freezes codes {first} to {last}; allowed: some, but not all, of {codes}"
            )


def _check_cloud(where: str, spec: GeneratorSpec, term: Term, size: int) -> None:
    """Clouds are compared as sets, whole; pictures are not."""
    if term.kind.family == VARIABLE or term.kind.cloud == bool(spec.points):
        if term.kind.cloud and size != spec.resolution:
            raise ValueError(
                f"{where}, term {term.label!r} compares clouds of {size}x{size} points; allowed: "
                f"{spec.resolution}x{spec.resolution} (generator {spec.name!r})"
            )
        return
    draws = f"generator {spec.name!r} draws {'clouds' if spec.points else 'pictures'}"
    fitting = [n for n, kind in TERM_KINDS.items() if kind.cloud == bool(spec.points)]
    allowed = ", ".join(n for n in fitting if TERM_KINDS[n].family != VARIABLE)
    raise ValueError(f"{where} has a term {term.label!r}, and {draws}; allowed: {allowed}")


def _check_rows(where: str, spec: GeneratorSpec, stage: Stage, term: Term) -> None:
    if term.rows is None:
        return
    variable = next(v for v in stage.variables if v.space == term.variable)
    codes = _codes(spec, variable)
    if term.rows[1] > codes:
        raise ValueError(
            f"{where}, term {term.label!r} takes rows {term.rows}; allowed: up to {codes}"
        )


def _check_view(where: str, spec: GeneratorSpec, term: Term, size: int) -> None:
    if term.kind.family != IMAGE:
        return
    functions = TERMS[term.name]
    least = functions.smallest(term)
    if term.net is not None:
        least = spec.resolution if term.needs_discriminator else smallest_side(term.net)
    seen = view_shape(term.view, (size, size))
    what = f"{where}, term {term.label!r} sees {seen[0]}x{seen[1]} px of images of {size} px; "
    if min(seen) < least:
        raise ValueError(f"{what}allowed: at least {least}x{least}")
    if any(side % functions.multiple for side in seen):
        raise ValueError(f"{what}allowed: multiples of {functions.multiple}")


def _check_discriminator_term(gen: Generator, preset: Preset, params: Params) -> None:
    """The generator's own discriminator, its steps, and its maps of attention."""
    for number, stage in enumerate(preset.stages, start=1):
        for term in (term for term in stage.terms if term.needs_discriminator):
            what = f"preset {preset.name!r}, stage {number}, term {term.label!r}"
            discriminator = gen.discriminator
            if discriminator is None or DISCRIMINATOR not in params:
                raise ValueError(
                    f"{what} needs a discriminator, which {gen.spec.name!r} lacks; "
                    f"allowed: generators whose weights have one"
                )
            for step in term.layers:
                check_choice(f"step ({what})", step, discriminator.steps)
            if term.last_layers > len(discriminator.steps):
                raise ValueError(
                    f"{what} has last_layers {term.last_layers}; "
                    f"allowed: up to {len(discriminator.steps)}"
                )
            if term.kind.attention:
                _check_attention(gen, term, params, what)


def _check_attention(gen: Generator, term: Term, params: Params, what: str) -> None:
    discriminator, side = gen.discriminator, gen.spec.resolution
    if discriminator is None:
        return
    image = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
    states = jax.eval_shape(discriminator.features, params, image)
    maps = {name: x["attention"].shape for name, x in states.items() if "attention" in x}
    if not maps:
        raise ValueError(
            f"{what} needs a discriminator with attention, which that of {gen.spec.name!r} lacks; "
            f"its steps: {', '.join(discriminator.steps)}"
        )
    for step in term.layers:
        check_choice(f"step with attention ({what})", step, tuple(maps))
    heads = min(
        shape[0] if len(shape) > 2 else 1
        for name, shape in maps.items()
        if name in (term.layers or maps)
    )
    if max(term.heads, default=0) >= heads:
        raise ValueError(f"{what} has heads {term.heads}; allowed: 0 to {heads - 1}")
