"""Walks led by a differentiable measurement of attributes.

Zhuang et al. 2021 ("Enjoy your editing", arXiv:2102.01187), through the generator; Wang et al. 2021
(Hijack-GAN, arXiv:2011.14107), of a black box; Tewari et al. 2020 (PIE, arXiv:2009.09485), by nets
that change one parameter of a code and keep the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxinv.edits.discovery.training import USUAL, Fitted, Training, fit, mlp, mlp_init
from jaxinv.specs.checks import check_above, check_array, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Params, Tree

SMALL_SLOPE, SMALL_PART = 1e-9, 1e-4  # of Hijack-GAN's code
LEAST_STEP = 1e-9  # a step that is left out
LABEL_WEIGHT, CONTENT_WEIGHT = 10.0, 0.05


def global_directions(
    draw: Callable[[Tree, Array], Array],
    data: Tree,
    sample: Callable[[Tree, Key, int], Array],
    attributes: Callable[[Tree, Array], Array],
    training: Training = USUAL,
    *,
    content: Callable[[Array], Array] | None = None,
    batch: int = 8,
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [k, d] that raise one attribute each, learned together, and the losses.

    `attributes`: (data, images [n, h, w, 3]) -> [n, k] in [0, 1], differentiable. A code moves by
    the sum over i of the wanted change of attribute i times vector i; `content` (features of
    images) is to stay. Zhuang et al. 2021, equations 1 to 5, without their adversarial term.
    """
    key = jax.random.key(training.seed)
    codes = jax.eval_shape(lambda: sample(data, key, 2))
    count = jax.eval_shape(lambda d, w: attributes(d, draw(d, w)), data, codes).shape[-1]

    def loss(params: Array, data: Tree, key: Key) -> Array:
        one, two = jax.random.split(key)
        w = sample(data, one, batch)
        images = draw(data, w)
        now = attributes(data, images)
        change = jax.random.uniform(two, now.shape, minval=-1.0)
        goal = jnp.clip(now + change, 0, 1)
        moved = draw(data, w + (goal - now) @ params)
        found = jnp.clip(attributes(data, moved), 1e-6, 1 - 1e-6)
        value = (
            LABEL_WEIGHT
            * optax.sigmoid_binary_cross_entropy(jnp.log(found) - jnp.log1p(-found), goal).mean()
        )
        if content is None:
            return value
        return value + CONTENT_WEIGHT * ((content(moved) - content(images)) ** 2).mean()

    start = 0.02 * jax.random.normal(key, (count, codes.shape[-1]))
    found = fit(loss, start, data, training)
    return np.asarray(found.params), found.losses


def proxy(
    codes: np.ndarray,
    values: np.ndarray,
    training: Training = USUAL,
    *,
    hidden: tuple[int, ...] = (128, 128),
    batch: int = 128,
) -> Fitted:
    """A net that tells attributes [n, k] from codes [n, d]: `mlp` of its parameters does.

    The generator is not asked for gradients. Wang et al. 2021, section 3.2. Values are learned in
    units of their deviations.
    """
    x, y = check_array("codes", codes), check_array("values", values, "biuf")
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"codes {list(x.shape)}, values {list(y.shape)}; allowed: [n, d], [n, k]")
    spread = y.std(0)
    if not spread.all():
        raise ValueError(f"values {np.flatnonzero(spread == 0).tolist()} are constant")
    data = (jnp.asarray(x, float), jnp.asarray((y - y.mean(0)) / spread, float))
    widths = (x.shape[1], *hidden, y.shape[1])

    def loss(params: Params, data: tuple[Array, Array], key: Key) -> Array:
        rows = jax.random.randint(key, (batch,), 0, len(data[0]))
        return ((mlp(params, data[0][rows]) - data[1][rows]) ** 2).mean()

    return fit(loss, mlp_init(jax.random.key(training.seed), widths), data, training)


def constrained_step(
    slope: np.ndarray, others: np.ndarray, last: np.ndarray | None = None
) -> np.ndarray:
    """The unit vector x [d] with the largest slope . x that is orthogonal to `others` [m, d].

    The normalised projection on the null space of the others: the answer of the convex program of
    Wang et al. 2021, equation 6. Where the slope is almost 0 it is `last`; entries below 1e-4 are
    cut, as in their code. Raises `ValueError` where nothing is left and there is no last one.
    """
    c = check_array("slope", slope).astype(np.float64)
    a = check_array("others", others).astype(np.float64).reshape(-1, c.size)
    if np.linalg.norm(c) < SMALL_SLOPE and last is not None:
        return np.asarray(last, np.float64)
    rest = c - np.linalg.pinv(a) @ (a @ c)
    length = np.linalg.norm(rest)
    if length < SMALL_SLOPE:
        if last is None:
            raise ValueError("the slope lies in the span of the others; allowed: one beside it")
        return np.asarray(last, np.float64)
    found = rest / length
    return np.where(np.abs(found) < SMALL_PART, 0.0, found)


def black_box_walk(
    params: Params,
    code: np.ndarray,
    target: int,
    *,
    keep: tuple[int, ...] = (),
    step: float = 0.2,
    steps: int = 40,
) -> np.ndarray:
    """Codes [steps + 1, d] along the slope of attribute `target` of a `proxy`, others kept.

    A negative `step` lowers the attribute. Wang et al. 2021, algorithm 1.
    """
    check_whole("steps", steps, 1)
    check_above("size of a step", abs(step), 0)
    return _walked(params, code, (target, keep), [step] * steps)


def black_box_end(
    params: Params,
    code: np.ndarray,
    wanted: tuple[int, tuple[int, ...]],
    *,
    length: float,
    step: float = 0.2,
) -> np.ndarray:
    """The code [d] at the end of a `black_box_walk` of a `length`, negative to go the other way.

    `wanted` are the attribute that changes, and those that are kept. The last step is what is left
    of the length.
    """
    check_above("size of a step", step, 0)
    whole, part = divmod(abs(length), step)
    sizes = [step] * int(whole) + [part] * (part > LEAST_STEP)
    return _walked(params, code, wanted, list(np.sign(length) * np.array(sizes)))[-1]


_slopes = jax.jit(jax.jacrev(mlp, argnums=1))


def _walked(
    params: Params, code: np.ndarray, wanted: tuple[int, tuple[int, ...]], sizes: list[float]
) -> np.ndarray:
    target, keep = wanted
    points, last = [np.asarray(code, np.float64)], None
    for size in sizes:
        rows = np.asarray(_slopes(params, jnp.asarray(points[-1], float)), np.float64)
        last = constrained_step(rows[target], rows[list(keep)], last)
        points.append(points[-1] + size * last)
    return np.stack(points)


class Rig(NamedTuple):
    """Nets of `rig`: `measure` tells the parameters of a code, `change` moves a code to others."""

    measure: Params
    change: Params
    mean: np.ndarray
    deviation: np.ndarray
    losses: np.ndarray


def rig(
    codes: np.ndarray,
    values: np.ndarray,
    training: Training = USUAL,
    *,
    hidden: tuple[int, ...] = (128, 128),
    batch: int = 64,
) -> Rig:
    """Nets that give a code [d] the parameters (pose, light ...) of another and keep the rest.

    From codes [n, d] and the parameters [n, k] of their pictures. Three wishes: its own parameters
    leave a code where it is; a changed one is measured in the moved code, and no other is; the way
    back leads back. Tewari et al. 2020 (StyleRig, section 4; PIE, section 3).
    """
    learned = proxy(codes, values, training, hidden=hidden)
    x, y = np.asarray(codes, np.float64), np.asarray(values, np.float64)
    mean, deviation = y.mean(0), y.std(0)
    width, count = x.shape[1], y.shape[1]

    def loss(params: Params, data: tuple[Params, Array], key: Key) -> Array:
        measure, w = data
        keys = jax.random.split(key, 3)
        one, two = (w[jax.random.randint(k, (batch,), 0, len(w))] for k in keys[:2])
        own, other = mlp(measure, one), mlp(measure, two)
        swapped = jax.nn.one_hot(jax.random.randint(keys[2], (batch,), 0, count), count)
        goal = own + swapped * (other - own)
        moved = _changed(params, one, goal - own)
        back = _changed(params, moved, own - mlp(measure, moved))
        still = _changed(params, one, jnp.zeros_like(own))
        wishes = (still - one, mlp(measure, moved) - goal, back - one)
        return sum(((wish) ** 2).mean() for wish in wishes) + 0.1 * ((moved - one) ** 2).mean()

    first = mlp_init(jax.random.key(training.seed + 1), (width + count, *hidden, width))
    found = fit(loss, first, (learned.params, jnp.asarray(x, float)), training)
    return Rig(learned.params, found.params, mean, deviation, found.losses)


def _changed(params: Params, codes: Array, wanted: Array) -> Array:
    return codes + mlp(params, jnp.concatenate([codes, wanted], -1))


def rigged(found: Rig, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Codes [n, d] moved so that pictures have the parameters `values` [n, k]; NaN: their own."""
    w = jnp.asarray(codes, float)
    own = mlp(found.measure, w)
    goal = (jnp.asarray(values, float) - found.mean) / found.deviation
    wanted = jnp.where(jnp.isnan(goal), 0.0, goal - own)
    return np.asarray(_changed(found.change, w, wanted))


def rig_step(change: Params, codes: Array, number: int, amount: float) -> Array:
    """Codes [n, d] whose parameter `number` grows by `amount` of its deviations, by `Rig.change`.

    What the net does to codes that are to stay is taken away, so that an amount of 0 is none.
    """
    width = codes.shape[-1]
    count = change["fc0"]["kernel"].shape[0] - width
    still = jnp.zeros((len(codes), count), codes.dtype)
    moved = _changed(change, codes, still.at[:, number].set(amount))
    return codes + moved - _changed(change, codes, still)
