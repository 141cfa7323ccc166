"""The card of a converted generator: what it is, for people; nothing is drawn for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.checkpoints import content_sha256, read_spec
from jaxinv.io.text import printable
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.loading import UNFIT, build, check_parameters
from jaxinv.models.weights import in_single

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Latents, Params, State, Tree


def card(params: Params, metadata: dict[str, str]) -> list[str]:
    """Lines about the generator of a checkpoint's parameters and metadata, cuts last.

    Raises `ValueError` for a checkpoint that is no generator, or whose facts fit no architecture.
    """
    try:
        lines = list(_lines(params, metadata))
    except ValueError:
        raise
    except UNFIT as error:
        raise ValueError(f"the file's facts fit no generator ({error!r:.120})") from error
    return [printable(line) for line in lines]


def _lines(params: Params, metadata: dict[str, str]) -> Iterator[str]:
    spec = read_spec(metadata)
    gen = build(spec)
    check_parameters(gen, params)
    fields = {
        "spaces": spaces(spec),
        "classes": classes(spec),
        "average of w": average(spec, params),
        "truncation": truncation(spec, params),
        "discriminator": discriminator(gen),
        "parameters": counts(params),
        "alignment": spec.alignment,
        "domain": metadata.get("domain", ""),
        "source": metadata.get("source", ""),
        "notes": metadata.get("notes", ""),
        "its SHA-256": metadata.get("source_sha256", ""),
        "contents": contents(params, metadata),
        "licence": metadata.get("licence", ""),
    }
    yield f"{spec.name}: {spec.architecture}, {spec.resolution} px"
    for name, text in fields.items():
        yield from _field(name, text)
    yield "  cuts (steps) and the features after them"
    yield from feature_shapes(gen)


def _field(name: str, text: str) -> Iterator[str]:
    for index, line in enumerate(text.splitlines()):
        yield f"  {'' if index else name:13} {line}"


def spaces(spec: GeneratorSpec) -> str:
    """The latent spaces with their sizes, one line each; classes have a line of their own."""
    sides = sorted(set(spec.noise))
    said = {
        "z": f"{spec.z_dim}, {spec.prior.replace('_', ' ')}",
        "z+": f"{spec.rows} rows of {spec.z_dim}",
        "w": f"{spec.w_dim}",
        "w+": f"{spec.rows} rows of {spec.w_dim}",
        "s": f"{sum(spec.styles)} in {len(spec.styles)} styles",
        "noise": f"{len(spec.noise)} maps, {sides[0]} to {sides[-1]} px" if sides else "",
        "camera": "yaw and pitch in radians, 0 in front",
    }
    return "\n".join(f"{name:5} {said[name]}" for name in spec.spaces if name in said)


def classes(spec: GeneratorSpec) -> str:
    """How many there are, and the length of the vector that stands for one."""
    if not spec.labels:
        return "none"
    own = f", each a vector of {spec.embedding}" if spec.embedding else ""
    return f"{spec.labels}{own}"


def average(spec: GeneratorSpec, params: Params) -> str:
    """Where the mean of W comes from; empty without a W space."""
    if not spec.w_dim:
        return ""
    return "in the file" if "average" in params.get("mapping", {}) else "measured when it is loaded"


def truncation(spec: GeneratorSpec, params: Params) -> str:
    """What `psi` does; empty if there is none."""
    if spec.w_dim:
        return "draws w towards its average"
    tables = params.get("synthesis", {}).get("norm", {}).get("means")
    if tables is not None:
        return f"scales z and chooses among statistics for {len(tables)} values"
    return "scales z" if spec.embedding else ""


def discriminator(gen: Generator) -> str:
    """Its kind and what it compares."""
    if gen.discriminator is None:
        return "none"
    kind, group = dict(gen.spec.facts)["discriminator"][0], gen.discriminator.group
    compared = f"compares groups of {group} images" if group else "judges images one by one"
    return f"{kind}, {len(gen.discriminator.steps)} steps, {compared}"


def counts(params: Params) -> str:
    """Numbers in the file, buffers included."""
    own = {name: tree for name, tree in params.items() if name != DISCRIMINATOR}
    text = f"{_count(own):,} in {len(jax.tree.leaves(own))} arrays, noise and statistics included"
    beside = _count(params.get(DISCRIMINATOR, {}))
    return f"{text}\nand {beside:,} of the discriminator" if beside else text


def _count(tree: Tree) -> int:
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def contents(params: Params, metadata: dict[str, str]) -> str:
    """The digest of all arrays as they are used, and whether it is the recorded one."""
    found = content_sha256(in_single(params))
    recorded = metadata.get("content_sha256", found)
    return f"SHA-256 {found}" + ("" if found == recorded else f"\nDAMAGED: {recorded} is recorded")


def feature_shapes(gen: Generator) -> Iterator[str]:
    """A line for every step of the generator: its name and the shapes after it."""
    shapes = jax.eval_shape(gen.init, jax.random.key(0))
    found = jax.eval_shape(gen.features, shapes, _code(gen.spec))
    for name in gen.steps:  # jax returns them in the order of their names
        yield f"    {name:15} {_shapes(found[name])}"


def _code(spec: GeneratorSpec) -> Latents:
    code: Latents = {"z": jnp.ones(spec.z_dim)}
    return code | ({"label": jnp.ones(spec.labels)} if spec.labels else {})


def _shapes(state: State) -> str:
    ordered = sorted(state.items(), key=lambda item: item[0] != "x")
    return ", ".join(f"{name} {' x '.join(map(str, leaf.shape))}" for name, leaf in ordered)
