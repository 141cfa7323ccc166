"""The interface of every discriminator and critic: scores of images, and features of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxinv.nn.conv import BACKWARD_KERNELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Params, State

DISCRIMINATOR = "discriminator"  # its place in the parameters of its generator


class Discriminator(NamedTuple):
    """Pure functions; `params` is the whole dict of the generator that it was trained with.

    run(params, image [r, r, 3], state, (first, last)) -> the state of one image after some `steps`;
    score_features(params, x, deviation, label) -> the score of one image from its last features.
    `group`: as many images at most are scored by how they differ from one another; 0 if each is by
    itself.
    """

    steps: tuple[str, ...]
    init: Callable[[Key], Params]
    run: Callable[[Params, Array, State, tuple[int, int]], State]
    score_features: Callable[[Params, Array, Array, Array | None], Array]
    group: int = 0

    def features(self, params: Params, image: Array) -> dict[str, State]:
        """The features "x" [h, w, channels] of one image [r, r, 3] after every one of `steps`.

        After an attention, "attention" [pixels, keys] too (see `jaxinv.nn.attention`).
        """
        found: dict[str, State] = {}
        state: State = {}
        for index, name in enumerate(self.steps):
            found[name] = state = self.run(params, image, state, (index, index + 1))
        return found

    def scores(self, params: Params, images: Array, labels: Array | None = None) -> Array:
        """Scores [n] of images [n, r, r, 3] in [-1, 1], higher for what looks real; no sigmoid.

        `labels` [n, classes] where there are classes. Networks that compare the images of a batch
        do it in groups, as in their training; `ValueError` if n is above a group and no multiple.
        """
        whole = (0, len(self.steps))
        states = jax.vmap(lambda image: self.run(params, image, {}, whole))(images)
        x = states["x"]
        deviations = deviation(x, self.group) if self.group else jnp.zeros(len(x))
        return jax.vmap(lambda *one: self.score_features(params, *one))(x, deviations, labels)


def deviation(x: Array, group: int) -> Array:
    """[n]: the mean standard deviation within the group of every sample of x [n, h, w, c].

    Sample i of n belongs with i + n / group and so on (Karras et al. 2018, PGGAN, section 3).
    """
    count = len(x)
    group = min(group, count)
    if count % group:
        raise ValueError(f"{count} images; allowed: up to {group}, or a multiple of {group}")
    spread = jnp.sqrt(jnp.var(x.reshape(group, count // group, -1), axis=0) + 1e-8)
    return jnp.tile(jnp.mean(spread, axis=-1), group)


def discriminator(
    module: Any, image: tuple[int, int, int], *, group: int = 0, labels: int = 0
) -> Discriminator:
    """The discriminator of a module: `steps`, step(index, x), score_features(x, deviation, label).

    A step gives a state: {"x": features}, and "attention" where it is one.
    """

    def apply(params: Params, *given: object, method: Any) -> Any:
        variables = {
            "params": params[DISCRIMINATOR],
            BACKWARD_KERNELS: params.get(BACKWARD_KERNELS, {}).get(DISCRIMINATOR, {}),
        }
        return module.apply(variables, *given, method=method)

    def init(key: Key) -> Params:
        label = jnp.zeros(labels) if labels else None
        return module.init(key, jnp.zeros(image), label, method=_whole)["params"]

    return Discriminator(
        steps=module.steps,
        init=init,
        run=lambda params, *given: apply(params, *given, method=_walk),
        score_features=lambda params, *given: apply(params, *given, method="score_features"),
        group=group,
    )


def _walk(module: Any, image: Array, state: State, span: tuple[int, int]) -> State:
    state = state or {"x": image}
    for index in range(*span):
        state = module.step(index, state["x"])
    return state


def _whole(module: Any, image: Array, label: Array | None) -> Array:
    state = _walk(module, image, {}, (0, len(module.steps)))
    return module.score_features(state["x"], jnp.zeros(()), label)
