"""Checks of a generator, its parameters and latents to draw, before anything is compiled."""

# jax annotates its arguments only in part (here: tree.leaves, tree_util).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.latent_files import LISTS, TREES, fit_latents
from jaxinv.models.features.backbones import NETS
from jaxinv.models.features.named_layers import shapes_of
from jaxinv.models.features.nets import build_net
from jaxinv.models.generators.base import Generator
from jaxinv.models.statistics import STATISTICS
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.specs.checks import check_array, check_callable, check_choice, check_kind, told
from jaxinv.specs.vocabulary import CALLABLES, EMBEDDERS

if TYPE_CHECKING:
    from jaxinv.types import Latents, Params, Tree

FROM = " (gen, params = load_generator(NAME))"
Shapes = dict[str, tuple[int, ...]]


def check_generator(gen: object, params: object) -> None:
    """Raise `ValueError` unless these are a generator and its own parameters.

    Parameters must have the branches and shapes of those that `gen.init` makes; further branches
    beside them (statistics, backward kernels, a discriminator) are not looked at.
    """
    check_kind("gen", gen, Generator, FROM)
    generator: Any = gen
    if not isinstance(params, Mapping):
        raise ValueError(f"params is {told(params)}; allowed: a dict of arrays{FROM}")
    whose = f"generator {generator.spec.name!r}"
    expected = _expected(generator.init)
    spec = generator.spec
    kept = {"average": (spec.w_dim,), "averages": (spec.labels, spec.w_dim)}  # of training
    if expected is not None:
        held = {f"mapping/{n}": kept[n] for n in kept if n in params.get("mapping", {})}
        expected = {**expected, **held}
    _check_arrays("params", params, expected, whose)
    mean = params.get(STATISTICS, {}).get("mean")
    if generator.spec.w_dim and mean is not None and np.shape(mean) != (generator.spec.w_dim,):
        raise ValueError(
            f"params[{STATISTICS!r}] are of a W of {np.shape(mean)}; "
            f"allowed: ({generator.spec.w_dim},) ({whose})"
        )


def check_nets(nets: object, needed: tuple[str, ...] = ()) -> None:
    """Raise `ValueError` unless `nets` is a dict from names of feature nets to their parameters.

    Those that are `needed` are compared with the parameters that the nets have.
    """
    if not isinstance(nets, Mapping):
        raise ValueError(f"nets is {told(nets)}; allowed: a dict (nets = load_features(NAMES))")
    for name, params in nets.items():
        check_choice("net", name, (*NETS, *EMBEDDERS))
        if name in needed:
            check_net(name, params)


def check_net(name: str, params: object) -> None:
    """Raise `ValueError` unless `params` are those of the feature net called `name`."""
    if name in CALLABLES:
        check_callable(f"net {name!r}", params)
        return
    if name in EMBEDDERS and callable(params):  # a function with its arrays takes its place
        return
    if not isinstance(params, Mapping):
        raise ValueError(f"the parameters of net {name!r} are {told(params)}; allowed: a dict")
    if name in EMBEDDERS:
        build_net(name, shapes_of(params))  # says so where arrays are missing
    else:
        _check_arrays(f"nets[{name!r}]", params, _expected(NETS[name].init), f"net {name!r}")


@lru_cache
def _expected(init: Callable[..., Params]) -> Shapes | None:
    """Shapes by path of the parameters that `init` makes; None where it cannot be traced."""
    try:
        made = jax.eval_shape(lambda: init(jax.random.key(0)))
    except jax.errors.JAXTypeError:  # it computes with numpy
        return None
    return _shapes({name: made[name] for name in made if name != BACKWARD_KERNELS})


def _shapes(tree: Tree) -> Shapes:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        "/".join(str(getattr(part, "key", part)) for part in path): np.shape(leaf)
        for path, leaf in leaves
    }


def _check_arrays(
    what: str, params: Mapping[str, Any], expected: Shapes | None, whose: str
) -> None:
    if expected is None:
        return
    tops = {name.partition("/")[0] for name in expected}
    found = _shapes({name: params[name] for name in params if name in tops})
    lacking = [name for name in expected if name not in found]
    strange = [name for name in found if name not in expected]
    if lacking or strange:
        wrong = f"lacks {lacking[0]!r}" if lacking else f"holds {strange[0]!r}"
        raise ValueError(f"{what} {wrong}; allowed: the arrays of {whose}, and no others")
    for name, shape in expected.items():
        if found[name] != shape:
            raise ValueError(
                f"{what} holds {name!r} of shape {found[name]}; allowed: {shape} ({whose})"
            )
    for path, leaf in jax.tree_util.tree_leaves_with_path({n: params[n] for n in tops}):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise ValueError(
                f"{what} holds {told(leaf)} at {jax.tree_util.keystr(path)}; allowed: floats"
            )


def samples_of(latents: Latents) -> Iterator[Latents]:
    """The latents of each sample, one by one, of latents with a leading axis."""
    for number in range(len(jax.tree.leaves(latents)[0])):
        yield jax.tree.map(lambda a, i=number: a[i], latents)


def check_latents(
    gen: Generator, params: Params, latents: object, what: str = "latents"
) -> tuple[Latents, int]:
    """The latents, and how many they are; `ValueError` unless `gen` can draw them.

    They are a dict by space, of arrays with one common leading axis. What changes the network is
    tried on shapes alone.
    """
    if not isinstance(latents, Mapping):
        raise ValueError(
            f"{what} is {told(latents)}; allowed: a dict of arrays by space, as Inversion.latents"
        )
    found: Latents = dict(latents)
    for name in found:
        if name in LISTS and isinstance(found[name], list):
            found[name] = tuple(found[name])
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        check_array(what + jax.tree_util.keystr(path), leaf)
    counts = {np.shape(leaf)[0] if np.ndim(leaf) else 0 for leaf in jax.tree.leaves(found)}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            f"{what} need one common leading axis, got lengths {sorted(counts)}; allowed: one "
            f"number of samples in all, at least 1"
        )
    first = fit_latents(gen.spec, jax.tree.map(lambda leaf: leaf[0], found))
    if "w+" in found and "mix" not in found and first["w+"].shape != found["w+"].shape[1:]:
        found["w+"] = found["w+"][:, np.asarray(gen.spec.layout18)]
    if any(name in TREES for name in found):
        _check_trees(gen, params, first, what)
    return found, counts.pop()


def _check_trees(gen: Generator, params: Params, latents: Latents, what: str) -> None:
    """Raise `ValueError` where features, changed weights or shares do not fit the network."""
    try:
        jax.eval_shape(gen.synthesize, params, latents)
    except Exception as error:  # whatever jax says of shapes
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{what} do not fit generator {gen.spec.name!r}: {reason}") from error
