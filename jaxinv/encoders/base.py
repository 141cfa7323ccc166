"""The interface of every encoder: pure functions of one sample, and of a batch that is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.encoders.layers import BATCH, STATISTICS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flax.linen import Module

    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Array, Key, Params, Tree

WEIGHTS, BEFORE, AVERAGE, RECOGNISER = "params", "before", "average", "recogniser"
ASIDE = "aside"  # an output that training looks at, and nothing else
Outputs = dict[str, Any]


class Beside(NamedTuple):
    """What a head is given of one sample beside its feature maps; what it does not ask for is None.

    `stage`: how many rows may differ, for heads that are trained in stages. `code`: the code so
    far. `features`: the generator's own, at the step that the head changes, of the code so far and
    of the edited code. `identity`: the vector of the recogniser. `layers`: the features after every
    step of the generator, where the sample's are known. `draw`: gives the features at that step
    for what the head would add to the code.
    """

    stage: Any = None
    code: Any = None
    features: Any = None
    identity: Any = None
    layers: Any = None
    draw: Any = None


# Over which of them a batch is mapped.
MAPPED = Beside(stage=None, code=0, features=0, identity=0, layers=0, draw=None)


class Encoder(NamedTuple):
    """One encoder; `params` is the nested dict that its checkpoint stores.

    `params` holds "params" (what is trained), "batch_stats" (running means and variances),
    "average" (the mean code, the shape of its code) where codes are added to it, "recogniser" (the
    arrays of a feature net that says whom a picture shows) where it asks for one, and "before", the
    same of the encoder `before`, if there is one. `predict(params, planes [h, w, channels])` is one
    pass over one sample: {"code": the shape of its code, in units of its space}, with "features"
    {cut: what is added there} or "weights" (changes of the generator's) where the head makes such,
    and "aside" where training looks at something else.
    `learn(params, planes [b, h, w, channels])` gives the same for a batch, by the statistics of
    that batch, and the moved "batch_stats". Both take a `Beside` after the planes, for heads that
    need more; of a batch with a leading axis, as `MAPPED` says. See `rollouts.encode` for what is
    made of it.
    """

    spec: EncoderSpec
    init: Callable[[Key], Params]
    predict: Callable[..., Outputs]
    learn: Callable[..., tuple[Outputs, Params]]
    before: Encoder | None = None


def zero_code(spec: EncoderSpec) -> Tree:
    """A code of zeros; of styles one vector for each length of the fact "styles"."""
    if spec.output == "s":
        return tuple(jnp.zeros(length) for length in dict(spec.facts)["styles"])
    return jnp.zeros(spec.shape)


def from_network(spec: EncoderSpec, network: Module, before: Encoder | None = None) -> Encoder:
    """The encoder of a module that maps planes [h, w, channels] to outputs."""

    def init(key: Key) -> Params:
        own, others = jax.random.split(key)
        made = network.init(own, jnp.zeros(spec.input_shape))
        params = {WEIGHTS: made[WEIGHTS], STATISTICS: made.get(STATISTICS, {})}
        if spec.base == "mean":
            params[AVERAGE] = zero_code(spec)
        if before is not None:
            params[BEFORE] = before.init(others)
        return params

    def variables(params: Params) -> Params:
        return {name: params.get(name, {}) for name in (WEIGHTS, STATISTICS)}

    def predict(params: Params, planes: Array, beside: Beside | None = None) -> Outputs:
        return network.apply(variables(params), planes, beside)  # type: ignore[return-value]

    def learn(
        params: Params, planes: Array, beside: Beside | None = None
    ) -> tuple[Outputs, Params]:
        def one(sample: Array, own: Beside) -> tuple[Outputs, Params]:
            outputs, moved = network.apply(variables(params), sample, own, mutable=[STATISTICS])
            return outputs, moved.get(STATISTICS, {})  # type: ignore[return-value]

        over = jax.vmap(one, axis_name=BATCH, in_axes=(0, MAPPED), out_axes=(0, None))
        return over(planes, beside or Beside())

    return Encoder(spec, init, predict, learn, before)
