"""Names or files -> generators and feature nets, ready to use.

Nothing is downloaded here: see `jaxinv pull`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import jax
from flax.errors import FlaxError

from jaxinv.io.checkpoints import (
    check_shapes,
    content_sha256,
    read_metadata,
    read_spec,
    weights_file,
)
from jaxinv.models.discriminators import chain, progressive, residual
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.features.nets import load_net
from jaxinv.models.generators import (
    autoencoder_kl,
    biggan,
    dcgan,
    eg3d,
    fastgan,
    lightweight,
    lucidrains,
    mobilestylegan,
    pggan,
    r3gan,
    stylegan1,
    stylegan2,
    stylegan3,
    styleswin,
    treegan,
    wavegan,
)
from jaxinv.models.statistics import ANCHORS, FLOW, STATISTICS, cached_statistics
from jaxinv.models.weights import read_weights, use_compilation_cache
from jaxinv.models.zoo import owners
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.specs import GeneratorSpec
from jaxinv.specs.checks import check_choice, check_kind, check_list
from jaxinv.specs.vocabulary import CALLABLES, CONVERTED_NETS, NETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.discriminators.base import Discriminator
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Params

ARCHITECTURES: dict[str, Callable[[GeneratorSpec], Generator]] = {
    "autoencoder-kl": autoencoder_kl.build,
    "biggan": biggan.build,
    "dcgan": dcgan.build,
    "eg3d": eg3d.build,
    "fastgan": fastgan.build,
    "lightweight": lightweight.build,
    "lucidrains": lucidrains.build,
    "mobilestylegan": mobilestylegan.build,
    "pggan": pggan.build,
    "r3gan": r3gan.build,
    "stylegan1": stylegan1.build,
    "stylegan2": stylegan2.build,
    "stylegan3": stylegan3.build,
    "styleswin": styleswin.build,
    "treegan": treegan.build,
    "wavegan": wavegan.build,
}
DISCRIMINATORS: dict[str, Callable[[GeneratorSpec], Discriminator]] = {
    "chain": chain.build,
    "progressive": progressive.build,
    "residual": residual.build,
}

# Whose classes are inputs beside z, so that the shape of a kernel says how many both are.
JOINED = ("dcgan",)
DERIVED = (BACKWARD_KERNELS, STATISTICS)  # computed of the parameters when they are loaded
# What a network raises while it is built of facts that do not fit together.
UNFIT = (LookupError, TypeError, AttributeError, ArithmeticError, ValueError, FlaxError)


@lru_cache
def build(spec: GeneratorSpec) -> Generator:
    """The generator of `spec`; equal specs give one object, so that programs are shared.

    Raises `ValueError` for facts that fit no architecture.
    """
    check_choice("architecture", spec.architecture, tuple(ARCHITECTURES))
    try:
        return _built(spec)
    except UNFIT as error:
        raise ValueError(f"the facts of {spec.name!r} fit no generator ({error!r:.120})") from error


def _built(spec: GeneratorSpec) -> Generator:
    gen = ARCHITECTURES[spec.architecture](spec)
    plan = dict(spec.facts).get("discriminator")
    if plan is None:
        return gen
    check_choice("discriminator", plan[0], tuple(DISCRIMINATORS))
    return gen._replace(discriminator=DISCRIMINATORS[plan[0]](spec))


def load_generator(name: str = "ffhq") -> tuple[Generator, Params]:
    """A generator that can draw, and its parameters.

    Args:
        name: of the zoo ("ffhq") or of `jaxinv convert --name`, or a converted .safetensors file.

    Returns:
        The generator, a set of functions of one sample with `spec`, its facts; and its parameters,
        a nested dict of arrays. They gain "frozen" (kernels prepared for gradients) and, where
        there is a W space, "statistics" (its mean, principal axes and deviations,
        measured once and kept on disk).

    Raises:
        ValueError: the weights are missing or malformed. Nothing is downloaded here: `jaxinv pull`
            does that.
    """
    path = weights_file(name)
    use_compilation_cache()
    gen = build(read_spec(read_metadata(path)))
    params, _ = read_weights(path)
    check_parameters(gen, params)
    return gen, with_derived(gen, params)


def with_derived(gen: Generator, params: Params) -> Params:
    """Parameters with what searches need beside them, as `load_generator` gives them.

    Of parameters that were made in memory: kernels prepared for gradients, and the statistics of W.
    """
    found = {**params, BACKWARD_KERNELS: precompute_backward(params)}
    if gen.spec.w_dim:
        found[STATISTICS] = cached_statistics(gen, found)
        if ANCHORS in params:
            found[STATISTICS] = {**found[STATISTICS], ANCHORS: params[ANCHORS]["w+"]}
    if FLOW in params:
        found[STATISTICS] = {**found.get(STATISTICS, {}), FLOW: params[FLOW]}
    return found


def generator_hash(params: Params) -> str:
    """What tells one generator from another: SHA-256 over its parameters, as 64 hex digits.

    It is the "content_sha256" that its file states, and does not change with the file's name.
    """
    check_kind("params", params, dict, ", the parameters of a generator")
    return content_sha256({k: v for k, v in params.items() if k not in DERIVED})


def check_parameters(gen: Generator, params: Params) -> None:
    """Raise `ValueError` unless `params` has all arrays of the generator; nothing is allocated."""
    judge, key = gen.discriminator, jax.random.key(0)
    try:
        expected = jax.eval_shape(gen.init, key)
        judged = {} if judge is None else {DISCRIMINATOR: jax.eval_shape(judge.init, key)}
    except UNFIT as error:
        raise ValueError(
            f"the facts of {gen.spec.name!r} fit no generator ({error!r:.120})"
        ) from error
    check_shapes(gen.spec.name, params, expected | judged)
    _check_sizes(gen, expected)


def _check_sizes(gen: Generator, params: Params) -> None:
    """Raise `ValueError` unless the spec's sizes are those of parameters (or of their shapes)."""
    spec = gen.spec
    noise = tuple(one.shape[0] for one in jax.eval_shape(gen.stored_noise, params))
    styles = spec.styles
    if spec.w_dim:
        rows = jax.ShapeDtypeStruct((spec.rows, spec.w_dim), "float32")
        styles = tuple(one.shape[0] for one in jax.eval_shape(gen.affine, params, rows))
    if (noise or spec.noise, styles) != (spec.noise, spec.styles):
        raise ValueError(
            f"{spec.name}: styles {list(spec.styles)} and noise {list(spec.noise)}; its arrays "
            f"allow {list(styles)} and {list(noise or spec.noise)}"
        )
    lengths = {length for leaf in jax.tree.leaves(params) for length in leaf.shape}
    if spec.labels and spec.architecture not in JOINED and spec.labels not in lengths:
        raise ValueError(f"{spec.name}: {spec.labels} labels; its arrays allow 0")


def load_features(names: tuple[str, ...]) -> dict[str, Params]:
    """Parameters of the feature networks called `names`: "alexnet", "vgg16", "arcface-ir" ...

    `invert` loads what it needs by itself; `lpips` takes `load_features(("alexnet",))["alexnet"]`.
    Raises `ValueError` for other names, and for weights that are not here: what to pull or convert.
    """
    check_list("names", names, "names of feature nets")
    nets: dict[str, Params] = {}
    for name in names:
        if name in CALLABLES:
            raise ValueError(f"net {name!r} is missing: give it with its function, in nets")
        check_choice("feature net", name, (*NETS, *CONVERTED_NETS))
        if name in CONVERTED_NETS:
            nets[name] = _load_converted(name)
            continue
        params = read_weights(weights_file(name))[0]
        nets[name] = {**params, BACKWARD_KERNELS: precompute_backward(params)}
    return nets


def _load_converted(name: str) -> Params:
    """Parameters of a converted net; `ValueError` that says what to pull or convert."""
    try:
        return load_net(name)[1]
    except ValueError as error:
        owner = owners().get(f"{name}.safetensors")
        how = f"pull {owner}" if owner else f"convert FILE --name {name}"
        raise ValueError(f"net {name!r} is missing: run `jaxinv {how}` ({error})") from error
