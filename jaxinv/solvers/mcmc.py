"""Markov chains on exp(-loss / temperature), one gradient per step: HMC, MALA and SGLD.

A step of HMC is ONE leap of a trajectory, not a whole one, so that every point of it is reported
and lanes never wait for each other. Momenta have variance `temperature` and unit mass, so that the
length of a leap is in units of the unknowns whatever the temperature: this is the chain on
loss / temperature with leaps of learning_rate x sqrt(temperature).

What a chain stands on (its sample) is what keep "last" keeps; "best" keeps the lowest loss of any
point that was evaluated. A trajectory that meets a loss that is not finite ends there, refused.
"""

# jax annotates its arguments only in part, blackjax hardly.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.solvers.base import Evaluation, Solver, strip_weak_types, tree_where
from jaxinv.solvers.schedules import schedule_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import Schedule
    from jaxinv.types import Array, Key, Tree

# How they differ: the best rates of acceptance are those of Roberts & Rosenthal 1998 (Langevin) and
# Beskos et al. 2013 (leapfrog) in many dimensions.
MARKOV_CHAINS: dict[str, dict[str, float]] = {
    "hmc": {},
    "mala": {"leapfrog_steps": 1, "target": 0.574},
}
VARIED = 0.2  # part by which the leaps of a trajectory may be longer or shorter
# gamma of Hoffman & Gelman 2014 in the second half of the warm-up. With their 0.05 the length may
# double from one trajectory to the next, and its mean is shorter than what is accepted on average.
ADAPTATION_GAMMA = 0.5
COLDEST = 1e-30  # a schedule may reach 0, where only steps downwards are accepted


class Options(NamedTuple):
    """What `hmc` takes.

    leaps: gradients per trajectory (1: MALA); warmup: steps during which the length of a leap is
    adapted until `target` of the trajectories are accepted; temperature: see the module's text.
    """

    leapfrog_steps: int = 10
    warmup: int = 0
    target: float = 0.65
    temperature: float = 1.0


class ChainPoint(NamedTuple):
    """A point [n] with its loss and gradient."""

    x: Array
    loss: Array
    gradient: Array


class State(NamedTuple):
    """One lane: the sample, the trajectory that left it, and what is known of the leaps.

    `momentum` [n] belongs to the middle of the leap to `point` (the caller's own tree), `energy` to
    the beginning of the trajectory, of which `leap` leaps are done; `adapted` is blackjax's. After
    the warm-up `ended` trajectories had the acceptance probabilities that sum up to `accepted`.
    """

    tick: Array
    sample: ChainPoint
    point: Tree
    momentum: Array
    length: Array
    temperature: Array
    energy: Array
    leap: Array
    adapted: Any
    ended: Array
    accepted: Array


class SgldState(NamedTuple):
    """One lane: the point that is evaluated next."""

    u: Tree


def load(name: str) -> Any:
    """The package; `ValueError` where it is not installed."""
    try:
        import blackjax
    except ImportError as error:
        raise ValueError(
            f"solver {name!r} needs blackjax: pip install 'jaxinv[solvers]'"
        ) from error
    return blackjax


class Hmc:
    """The parts of one step; `hmc` ties them together."""

    def __init__(self, blackjax: Any, options: Options, rate: float, schedule: Schedule) -> None:
        adaptation = blackjax.adaptation.step_size.dual_averaging_adaptation
        self.begin, self.adapt, self.settle = adaptation(options.target)
        _, self.refine, _ = adaptation(options.target, gamma=ADAPTATION_GAMMA)
        self.proposal = blackjax.mcmc.proposal
        self.options, self.rate, self.schedule = options, rate, schedule

    def blank(self, u: Tree) -> State:
        """State before the start is evaluated."""
        x = ravel_pytree(u)[0]
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        adapted = strip_weak_types(self.begin(self.rate))
        return State(
            tick=none,
            sample=ChainPoint(x, zero, jnp.zeros_like(x)),
            point=u,
            momentum=jnp.zeros_like(x),
            length=jnp.full((), self.rate),
            temperature=jnp.full((), self.options.temperature),
            energy=zero,
            leap=none,
            adapted=adapted,
            ended=none,
            accepted=zero,
        )

    def launch(self, key: Key, state: State, progress: Array) -> State:
        """Set out from the sample with a fresh momentum, up to the middle of the first leap."""
        heat = self.options.temperature * schedule_value(self.schedule, progress)
        draw, vary = jax.random.split(key)
        momentum = jnp.sqrt(heat) * jax.random.normal(draw, state.sample.x.shape)
        length = self.leap_length(state)
        if self.options.leapfrog_steps > 1:
            length = length * jax.random.uniform(vary, (), minval=1 - VARIED, maxval=1 + VARIED)
        return state._replace(
            momentum=momentum - 0.5 * length * state.sample.gradient,
            length=length,
            temperature=jnp.maximum(heat, COLDEST),
            energy=state.sample.loss + 0.5 * jnp.vdot(momentum, momentum),
            leap=jnp.zeros((), jnp.int32),
        )

    def leap_length(self, state: State) -> Array:
        """What is being tried during the warm-up, what was learned after it, else the rate."""
        if not self.options.warmup:
            return jnp.full((), self.rate)
        adapting = (state.tick < self.options.warmup) | (state.adapted.step <= 1)
        tried, learned = jnp.exp(state.adapted.log_step_size), self.settle(state.adapted)
        return jnp.where(adapting, tried, learned)

    def learn(self, state: State, probability: Array) -> Any:
        """The length after a trajectory of the warm-up: found in its first half, then refined.

        What was learned on the way from the start is forgotten: leaps there are shorter.
        """
        half, began = self.options.warmup // 2, state.tick - state.leap
        second = began >= half
        seen = state.adapted
        moved = tree_where(second, self.refine(seen, probability), self.adapt(seen, probability))
        found = self.settle(moved)
        anew = strip_weak_types(self.begin(found)._replace(mu=jnp.log(found)))
        return tree_where(~second & (half <= state.tick), anew, moved)

    def accept_or_refuse(self, key: Key, state: State, arrived: ChainPoint) -> tuple[State, Array]:
        """Accept or refuse the end of the trajectory (Metropolis), and learn from it."""
        momentum = state.momentum - 0.5 * state.length * arrived.gradient
        energy = arrived.loss + 0.5 * jnp.vdot(momentum, momentum)
        gain = self.proposal.safe_energy_diff(state.energy, energy) / state.temperature
        gain = jnp.where(_finite(arrived), gain, -jnp.inf)
        sample, info = self.proposal.static_binomial_sampling(key, gain, state.sample, arrived)
        accepted, probability, _ = info
        warming = state.tick < self.options.warmup
        adapted = tree_where(warming, self.learn(state, probability), state.adapted)
        state = state._replace(
            sample=sample,
            adapted=adapted,
            ended=state.ended + ~warming,
            accepted=state.accepted + jnp.where(warming, 0.0, probability),
        )
        return state, accepted

    def arrive(
        self, key: Key, state: State, arrived: ChainPoint, progress: Array
    ) -> tuple[State, Array]:
        """State after an evaluation, and whether the evaluated point is the chain's sample now."""
        toss, draw = jax.random.split(key)
        first = state.tick == 0
        leap = state.leap + 1
        over = (leap >= self.options.leapfrog_steps) | ~_finite(arrived)
        settled, accepted = self.accept_or_refuse(toss, state, arrived)
        started = tree_where(first, state._replace(sample=arrived), settled)
        launched = self.launch(draw, started, progress)
        onward = state._replace(
            momentum=state.momentum - state.length * arrived.gradient, leap=leap
        )
        return tree_where(first | over, launched, onward), first | (over & accepted)


def _finite(stand: ChainPoint) -> Array:
    return jnp.isfinite(stand.loss) & jnp.all(jnp.isfinite(stand.gradient))


def hmc(name: str, options: Options, rate: float, schedule: Schedule) -> Solver:
    """Hamiltonian Monte Carlo with leapfrog steps (Neal 2011, "MCMC using Hamiltonian dynamics").

    `rate` is the length of a leap, adapted by dual averaging during the warm-up (Hoffman & Gelman
    2014, section 3.2; anew and more calmly in its second half), and varied from trajectory to
    trajectory: a mode whose period fits a fixed length would never be left (Neal 2011, on
    ergodicity). The schedule anneals the temperature.
    With one leap per trajectory, of constant length, this is the Metropolis-adjusted Langevin
    algorithm with h = rate^2 / 2 (Roberts & Tweedie 1996).
    """
    parts = Hmc(load(name), options, rate, schedule)

    def step(
        key: Key, fn: Callable[..., Any], state: State, progress: Array
    ) -> tuple[State, Evaluation]:
        x, unravel = ravel_pytree(state.point)
        (loss, aux), tree = jax.value_and_grad(fn, has_aux=True)(state.point, key)
        arrived = ChainPoint(x, loss, ravel_pytree(tree)[0])
        lost = (state.tick == 0) & ~_finite(arrived)
        moved, taken = parts.arrive(jax.random.fold_in(key, 1), state, arrived, progress)
        origin = jnp.where(moved.leap > 0, x, moved.sample.x)
        following = unravel(origin + moved.length * moved.momentum)
        seen = Evaluation(state.point, loss, aux, lost, taken)
        return moved._replace(tick=state.tick + 1, point=following), seen

    return Solver(parts.blank, step)


def sgld(temperature: float, rate: float, schedule: Schedule) -> Solver:
    """u <- u - h gradient + sqrt(2 h temperature) noise, h = rate x schedule, nothing refused.

    Source: Welling & Teh 2011, "Bayesian learning via stochastic gradient Langevin dynamics", eq. 4
    (whose step is 2 h).
    """
    kernel: Any = load("sgld").sgmcmc.sgld.build_kernel()

    def downwards(u: Tree, gradient: Tree) -> Tree:
        del u
        return jax.tree.map(jnp.negative, gradient)

    def step(
        key: Key, fn: Callable[..., Any], state: SgldState, progress: Array
    ) -> tuple[SgldState, Evaluation]:
        (loss, aux), gradient = jax.value_and_grad(fn, has_aux=True)(state.u, key)
        draw, h = jax.random.fold_in(key, 1), rate * schedule_value(schedule, progress)
        u = kernel(draw, state.u, downwards, gradient, h, temperature)
        return SgldState(u), Evaluation(state.u, loss, aux, ~jnp.isfinite(loss))

    return Solver(SgldState, step)
