"""Models of the latents of a generator or an autoencoder, learned from codes.

An invertible map to a normal prior, in which a search is then at home (Zhu et al. 2019, LIA,
arXiv:1906.08090: latently invertible autoencoder; codec "flow", preset "lia"); an invertible map to
factors that were taught by pairs (Esser et al. 2020, IIN, arXiv:2004.13166); and an autoencoder of
codes, whose middle is shorter (Lin & Clark 2020, LaDDer). Codes are those of
`jaxinv encode`, of searches, or draws. In the papers autoencoder and map are trained in turn: here
the autoencoder or generator is given.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.training import Training, fit, mlp, mlp_init
from jaxinv.models.statistics import FLOW, STATISTICS
from jaxinv.nn import couplings
from jaxinv.specs.checks import check_array, check_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.types import Array, Key, Params

USUAL = Training(1500, 1e-3, label="learning latents")
BATCH = 128
ALIKE = 0.9  # correlation of the factor that a pair shares (IIN)
NOISE = 0.02  # deviations added to codes, so that few of them are no needles


class Factors(NamedTuple):
    """IIN: an invertible network, and how many numbers each factor has, the residual first."""

    flow: Params
    sizes: tuple[int, ...]
    mean: np.ndarray
    std: np.ndarray


class Ladder(NamedTuple):
    """LaDDer: a variational autoencoder of codes; `mean` and `std` [d] are those of the codes."""

    params: Params
    mean: np.ndarray
    std: np.ndarray


def learn_flow(codes: np.ndarray, *, blocks: int = 6, training: Training = USUAL) -> Params:
    """An invertible network from codes [n, d] to a unit normal, by maximum likelihood.

    `with_flow` adds it to the parameters of a generator whose codes these are: a search by the
    codec "flow" then moves the normal place of a code. Raises `ValueError` for codes that vary in
    fewer than 2 numbers, or not at all.
    """
    given, mean, std = _checked(codes)
    check_whole("blocks", blocks, 1)
    start = couplings.init(jax.random.key(training.seed), given.shape[1], blocks)
    first = start["block0"]
    start["block0"] = {
        **first,
        "scale": jnp.asarray(-np.log(std)),
        "shift": jnp.asarray(-mean / std),
    }
    data = {"codes": jnp.asarray(codes, jnp.float32), "std": jnp.asarray(std)}
    return fit(_flow_loss, start, data, training).params


def with_flow(params: Params, flow: Params) -> Params:
    """The parameters of a generator with a map of its codes, for the codec "flow".

    Kept with `jaxinv.io.checkpoints.save` under "flow", it is there again when it is loaded.
    """
    return {**params, FLOW: flow, STATISTICS: {**params.get(STATISTICS, {}), FLOW: flow}}


def learn_factors(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    sizes: Sequence[int],
    *,
    blocks: int = 6,
    training: Training = USUAL,
) -> Factors:
    """Factors of codes, each taught by pairs that share it alone (IIN).

    Args:
        pairs: for each factor but the residual, codes [n, d] twice: row by row alike in it.
        sizes: numbers of the residual and of every factor; they add up to d.
        blocks: couplings of the network.
        training: steps, rate and seed.

    Raises:
        ValueError: sizes that do not add up, pairs of unequal shapes, as many sizes as pairs.
    """
    both = [(_checked(a)[0], _checked(b)[0]) for a, b in pairs]
    if not both or len({a.shape for pair in both for a in pair}) != 1:
        raise ValueError("pairs of unequal shapes, or none; allowed: [n, d] twice for each factor")
    width = both[0][0].shape[1]
    for size in sizes:
        check_whole("size of a factor", size, 1)
    if sum(sizes) != width or len(sizes) != len(both) + 1:
        raise ValueError(
            f"sizes {tuple(sizes)} for {len(both)} pairs of codes of {width} numbers; allowed: "
            f"{len(both) + 1} sizes, the residual's first, that add up to {width}"
        )
    raw = np.stack([np.stack([np.asarray(a), np.asarray(b)]) for a, b in pairs]).astype(np.float32)
    _, mean, std = _checked(raw.reshape(-1, width))
    start = couplings.init(jax.random.key(training.seed), width, blocks)
    loss = partial(_factor_loss, tuple(sizes))
    found = fit(loss, start, jnp.asarray((raw - mean) / std), training)
    return Factors(found.params, tuple(sizes), mean, std)


def factors_of(model: Factors, codes: np.ndarray) -> list[np.ndarray]:
    """The factors [n, size] of codes [n, d], the residual first."""
    found, _ = couplings.forward(model.flow, _standard(model, codes))
    return np.split(np.asarray(found), np.cumsum(model.sizes)[:-1], axis=1)


def codes_of(model: Factors, factors: Sequence[np.ndarray]) -> np.ndarray:
    """The codes [n, d] of factors, as `factors_of` gives them."""
    found = couplings.inverse(model.flow, jnp.asarray(np.concatenate(factors, axis=1)))
    return np.asarray(found) * model.std + model.mean


def swap_factor(model: Factors, codes: np.ndarray, others: np.ndarray, factor: int) -> np.ndarray:
    """Codes [n, d] with one factor of others [n, d]; factor 0 is the residual."""
    if not 0 <= factor < len(model.sizes):
        raise ValueError(f"factor {factor}; allowed: 0 to {len(model.sizes) - 1}")
    ours, theirs = factors_of(model, codes), factors_of(model, others)
    ours[factor] = theirs[factor]
    return codes_of(model, ours)


def learn_ladder(codes: np.ndarray, width: int, *, training: Training = USUAL) -> Ladder:
    """A variational autoencoder of codes [n, d] with a middle of `width` numbers (LaDDer).

    Raises `ValueError` for codes that do not vary, and a middle that is no shorter.
    """
    given, mean, std = _checked(codes)
    check_whole("width", width, 1)
    count = given.shape[1]
    if width >= count:
        raise ValueError(f"width {width} of codes of {count} numbers; allowed: 1 to {count - 1}")
    first, second = jax.random.split(jax.random.key(training.seed))
    hidden = max(64, 2 * count)
    start = {
        "encoder": mlp_init(first, (count, hidden, 2 * width)),
        "decoder": mlp_init(second, (width, hidden, count)),
        "noise": jnp.zeros(count),
    }
    return Ladder(fit(_ladder_loss, start, jnp.asarray(given), training).params, mean, std)


def up(model: Ladder, codes: np.ndarray) -> np.ndarray:
    """Where codes [n, d] lie in the middle, [n, width]."""
    found = mlp(model.params["encoder"], _standard(model, codes))
    return np.asarray(found[:, : found.shape[1] // 2])


def down(model: Ladder, places: np.ndarray) -> np.ndarray:
    """The codes [n, d] of places in the middle, [n, width]."""
    return np.asarray(mlp(model.params["decoder"], jnp.asarray(places))) * model.std + model.mean


def ladder_path(model: Ladder, first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Codes [count, d] between two codes [d], on a straight line of the middle (LaDDer).

    The ends are the codes themselves: what the model loses of them fades in and out.
    """
    check_whole("count", count, 2)
    ends = np.stack([first, second])
    shares = np.linspace(0, 1, count)[:, None]
    places = up(model, ends)
    lost = ends - down(model, places)
    middle = down(model, (1 - shares) * places[0] + shares * places[1])
    return middle + (1 - shares) * lost[0] + shares * lost[1]


def _checked(codes: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes in their deviations, with means and deviations [d]."""
    given = check_array("codes", codes, "f", " [n, d]").astype(np.float32)
    if given.ndim != 2 or len(given) < 2 or given.shape[1] < 2:
        raise ValueError(f"codes have shape {list(given.shape)}; allowed: [n, d], 2 or more each")
    mean, std = given.mean(0), given.std(0)
    if not std.min() > 0:
        raise ValueError(f"number {int(std.argmin())} of codes never changes; allowed: all vary")
    return (given - mean) / std, mean, std


def _standard(model: Factors | Ladder, codes: np.ndarray) -> Array:
    given = np.asarray(codes, np.float32)
    if given.ndim != 2 or given.shape[1] != len(model.mean):
        raise ValueError(f"codes have shape {list(given.shape)}; allowed: [n, {len(model.mean)}]")
    return jnp.asarray((given - model.mean) / model.std)


def _few(key: Key, x: Array) -> Array:
    return x[jax.random.randint(key, (BATCH,), 0, len(x))]


def _flow_loss(flow: Params, data: Any, key: Key) -> Array:
    """The negative logarithm of the likelihood, without its constant."""
    first, second = jax.random.split(key)
    codes = _few(first, data["codes"])
    noise = NOISE * data["std"] * jax.random.normal(second, codes.shape)
    y, change = couplings.forward(flow, codes + noise)
    return jnp.mean(0.5 * jnp.sum(jnp.square(y), axis=-1) - change)


def _factor_loss(sizes: tuple[int, ...], flow: Params, pairs: Any, key: Key) -> Array:
    """Likelihood of pairs: all factors are unit normals, the shared ones correlated by `ALIKE`."""
    first, second = jax.random.split(key)
    rows = jax.random.randint(first, (BATCH,), 0, pairs.shape[2])
    few = pairs[:, :, rows]
    few = few + NOISE * jax.random.normal(second, few.shape)
    y, change = couplings.forward(flow, few)
    total = -jnp.mean(jnp.sum(change, axis=1))
    ends = np.cumsum(sizes)
    for number in range(len(sizes)):
        part = y[..., ends[number] - sizes[number] : ends[number]]
        squares = 0.5 * jnp.sum(jnp.square(part), axis=-1)  # [pairs, 2, n]
        if number:
            apart = part[number - 1, 1] - ALIKE * part[number - 1, 0]
            alike = 0.5 * jnp.sum(jnp.square(apart), axis=-1) / (1 - ALIKE**2)
            squares = squares.at[number - 1, 1].set(alike)
        total = total + jnp.mean(jnp.sum(squares, axis=1))
    return total


def _ladder_loss(params: Params, codes: Any, key: Key) -> Array:
    """The evidence lower bound, negative and without its constant."""
    first, second = jax.random.split(key)
    few = _few(first, codes)
    mean, spread = jnp.split(mlp(params["encoder"], few), 2, axis=-1)
    place = mean + jnp.exp(spread / 2) * jax.random.normal(second, mean.shape)
    found = mlp(params["decoder"], place)
    noise = jnp.clip(params["noise"], -6, 2)
    likely = 0.5 * jnp.sum(jnp.square(few - found) * jnp.exp(-noise) + noise, axis=-1)
    prior = 0.5 * jnp.sum(jnp.exp(spread) + jnp.square(mean) - 1 - spread, axis=-1)
    return jnp.mean(likely + prior)
