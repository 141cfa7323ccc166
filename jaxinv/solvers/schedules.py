"""Factors in [0, 1] that change over a stage."""

# jax annotates its arguments only in part (here: jnp.ones, jnp.asarray).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.specs import Schedule
    from jaxinv.types import Array


def schedule_value(schedule: Schedule, progress: Array) -> Array:
    """Value in [0, 1] of `schedule` at `progress`."""
    return FACTORS[schedule.kind](schedule, progress)


def _constant(schedule: Schedule, t: Array) -> Array:
    del schedule, t
    return jnp.ones(())


def _nv_ramp(schedule: Schedule, t: Array) -> Array:
    rise = jnp.minimum(1.0, t / schedule.rise)
    fall = jnp.minimum(1.0, (1.0 - t) / schedule.fall)
    return rise * (0.5 - 0.5 * jnp.cos(jnp.pi * fall))


def _cosine(schedule: Schedule, t: Array) -> Array:
    del schedule
    return 0.5 + 0.5 * jnp.cos(jnp.pi * t)


def _quadratic_decay(schedule: Schedule, t: Array) -> Array:
    return jnp.square(jnp.maximum(0.0, 1.0 - t / schedule.until))


def _exponential(schedule: Schedule, t: Array) -> Array:
    return jnp.asarray(schedule.rate) ** t


def _multi_step(schedule: Schedule, t: Array) -> Array:
    values = [1.0, *(value for _, value in schedule.points)]
    starts = jnp.asarray([start for start, _ in schedule.points])
    return jnp.asarray(values)[jnp.sum(t >= starts)]


def _one_cycle(schedule: Schedule, t: Array) -> Array:
    return schedule.low + (1 - schedule.low) * (1 - 2 * jnp.abs(t - 0.5))


def _one_cycle_drop(schedule: Schedule, t: Array) -> Array:
    low, drop = schedule.low, schedule.drop
    tail = low + (t - drop) / (1 - drop) * (schedule.end - low)
    return jnp.where(t < drop, _one_cycle(schedule, t / drop), tail)


FACTORS: dict[str, Callable[[Schedule, Array], Array]] = {
    "constant": _constant,
    "nv_ramp": _nv_ramp,
    "cosine": _cosine,
    "quadratic_decay": _quadratic_decay,
    "exponential": _exponential,
    "multi_step": _multi_step,
    "one_cycle": _one_cycle,
    "one_cycle_drop": _one_cycle_drop,
}
