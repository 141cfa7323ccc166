"""Random latents: draws from the prior, classes, and the truncation of W."""

from __future__ import annotations

import math
from numbers import Integral
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxinv.latents.spaces import DRAWS
from jaxinv.models.arguments import check_generator
from jaxinv.models.generators.base import convert
from jaxinv.models.statistics import STATISTICS
from jaxinv.specs.checks import check_number, check_seed, check_whole, told

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.types import Array, Latents, Params


def average(params: Params, label: Array | None = None) -> Array:
    """Mean of W [w_dim]: the running average of training if the checkpoint has it, else measured.

    With a `label` [classes], or several [n, classes], that of the class in checkpoints that have
    one for each (Sauer et al. 2022, StyleGAN-XL). Raises `ValueError` for a generator without a W.
    """
    of_classes = params.get("mapping", {}).get("averages")
    if label is not None and of_classes is not None:
        return label @ of_classes
    stored = params.get("mapping", {}).get("average")
    found = params.get(STATISTICS, {}).get("mean") if stored is None else stored
    if found is None:
        raise ValueError("the generator has no W space to truncate; allowed: psi = 1")
    return found


def truncate(
    params: Params,
    w: Array,
    psi: float,
    cutoff: int | None = None,
    *,
    label: Array | None = None,
) -> Array:
    """w [w_dim] or w+ [rows, w_dim] moved towards the mean of W by the factor `psi`.

    With `cutoff` only the first rows of w+ are; with a `label` [classes] towards the mean of that
    class, see `average`. Karras et al. 2019 (StyleGAN), appendix B.
    """
    mean = average(params, label)
    moved = mean + psi * (w - mean)
    if cutoff is None:
        return moved
    return jnp.where(jnp.arange(len(w))[:, None] < cutoff, moved, w)


def one_hot(gen: Generator, label: int | None) -> Array | None:
    """The class as [classes] zeros and a one; `ValueError` for a class that there is not."""
    if label is None and not gen.spec.labels:
        return None
    check_label(gen.spec, label)
    return jax.nn.one_hot(label, gen.spec.labels)


def check_label(spec: GeneratorSpec, label: Any) -> None:
    """Raise `ValueError` unless `label` is one of the generator's classes."""
    count, name = spec.labels, spec.name
    if not count:
        raise ValueError(f"label {told(label)}: generator {name!r} has no classes")
    whole = isinstance(label, Integral) and not isinstance(label, bool)
    if not whole or not 0 <= int(label) < count:
        raise ValueError(f"label {told(label)}; allowed: 0 to {count - 1} (generator {name!r})")


def of_class(gen: Generator, latents: Latents, label: int) -> Latents:
    """Latents of one sample as those of another class: z stays (Pan et al. 2020, DGP).

    Raises `ValueError` for a class that there is not, and for latents without z: a w has its class.
    """
    if not {"z", "z+"} & set(latents):
        raise ValueError(f"label {label} for {', '.join(latents)}; allowed: latents with z")
    kept = {name: value for name, value in latents.items() if name != "embedding"}
    return {**kept, "label": one_hot(gen, label)}


def at_truncation(params: Params, truncation: float, *, published: bool = True) -> Params:
    """`params` with the statistics that a BigGAN of HuggingFace's port keeps for a truncation.

    Between two rows of its tables the port exchanges their weights, and takes steps of 0.02
    in floating point; `published` follows it, otherwise they are interpolated. Other generators
    are left as they are. Raises `ValueError` for a truncation outside (0, 1].
    """
    check_number("truncation", truncation)
    if not 0 < truncation <= 1:
        raise ValueError(f"truncation must be in (0, 1], got {truncation}")

    def chosen(tables: Array) -> Array:
        # In double precision, as the port divides: 0.14 and 0.58 do not fall on a row.
        part, whole = math.modf(truncation / (1.0 / (len(tables) - 1)))
        first = int(whole)
        if not part:
            return tables[first]
        share = part if published else 1 - part
        return tables[first] * share + tables[first + 1] * (1 - share)

    def walk(tree: Params) -> Params:
        found: Params = {k: walk(v) if isinstance(v, dict) else v for k, v in tree.items()}
        tables = {name: f"{name}s" for name in ("mean", "variance") if f"{name}s" in found}
        return found | {name: chosen(found[table]) for name, table in tables.items()}

    return {**params, "synthesis": walk(params["synthesis"])}


def sample_latents(
    gen: Generator,
    params: Params,
    count: int,
    *,
    seed: int = 0,
    psi: float = 1.0,
    label: int | None = None,
) -> Latents:
    """`count` draws with a leading axis: {"w": [count, w_dim]}, or z (and label) without a W.

    `psi` is the truncation of W; for a generator of classes without W, z is `psi` times a normal
    draw that is cut off at 2 (Brock et al. 2019, section 3.1; see `at_truncation` too). Raises
    `ValueError` for a count below 1, a class that the generator does not have, and a `psi` other
    than 1 where neither applies.
    """
    check_generator(gen, params)
    check_whole("count", count, 1)
    check_seed(seed)
    check_number("psi", psi)
    if label is not None or gen.spec.labels:
        check_label(gen.spec, label)
    spec, classes = gen.spec, one_hot(gen, label)
    cut = psi != 1.0 and spec.embedding > 0
    if psi != 1.0 and not cut:
        average(params)  # says so where there is none
    keys = jax.random.split(jax.random.key(seed), count)
    draw = DRAWS["truncated_normal" if cut else spec.prior]
    z = jax.vmap(lambda key: draw(key, (spec.z_dim,)))(keys)
    given: Latents = {"z": psi * z if cut else z}
    if classes is not None:
        given["label"] = jnp.broadcast_to(classes, (count, len(classes)))
    if not spec.w_dim:
        return given
    w = jax.jit(jax.vmap(lambda one: convert(gen, params, one, "w")))(given)
    return {"w": w if psi == 1.0 else truncate(params, w, psi, label=classes)}
