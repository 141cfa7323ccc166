"""Paths that are not straight: recursions, circles, learned steps, and flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxinv.edits.differential_equations import load_diffrax, solve
from jaxinv.edits.paths import Path, check_function
from jaxinv.specs.checks import check_above, check_array, check_list

PARALLEL = 1e-6  # sine of the angle below which two codes span no circle
Velocity = Callable[..., Any]  # (code, time) or (code, time, condition) -> d code / d time


def recursion(name: str, space: str, scale: Any, shift: Any) -> Path:
    """The way of z <- M z + q with a diagonal M (Spingarn et al. 2021, section 3.2).

    `scale` is the diagonal [d], `shift` is q [d]; the amount is the number of steps, which may be a
    fraction where M > 0 (steps between are those of the same recursion). Raises `ValueError` for
    zeros in the diagonal, from which there is no way back.
    """
    m, q = (
        check_array(f"{what} of {name!r}", x, "iuf") for what, x in (("M", scale), ("q", shift))
    )
    if not (m.shape == q.shape and m.ndim == 1 and m.all()):
        raise ValueError(
            f"M {list(m.shape)} and q {list(q.shape)} of {name!r}; allowed: two of shape [d], and "
            "no zeros in M"
        )
    still = np.isclose(m, 1.0, rtol=0, atol=1e-12)
    base = np.where(still, 2.0, m).astype(np.float64)

    def move(code: Any, amount: float) -> Any:
        if amount != int(amount) and (m < 0).any():
            raise ValueError(f"{amount} steps of {name!r}, which turns signs; allowed: whole ones")
        power = base ** float(amount)
        gained = np.where(still, amount * q, q * (1 - power) / (1 - base))
        return np.where(still, 1.0, power).astype(np.float32) * code + gained.astype(np.float32)

    return Path(name, space, move, shape=m.shape)


def circle(name: str, space: str, vector: Any, *, fixed: Sequence[Any] = ()) -> Path:
    """The great circle from a code through a direction; the amount is an angle in radians.

    z(t) = |z| (z/|z| cos t + u sin t), with u the unit vector from z towards `vector` [d]. With
    `fixed` directions it is the small circle that keeps the code's components along them
    (Spingarn et al. 2021, section 4). The length of the code stays. The way back is that of codes
    that have not passed the direction. Raises `ValueError` for a direction in the span of the fixed
    ones.
    """
    check_list("fixed", fixed, "directions")
    v, *rows = (
        check_array(f"direction of {name!r}", one, "iuf").astype(np.float64)
        for one in (vector, *fixed)
    )
    if v.ndim != 1 or any(one.shape != v.shape for one in rows):
        shapes = ", ".join(str(list(one.shape)) for one in (v, *rows))
        raise ValueError(
            f"directions of {name!r} have shapes {shapes}; allowed: [d], one d for all"
        )
    basis = np.linalg.qr(np.stack(rows, axis=1))[0] if rows else np.zeros((len(v), 0))
    free = v - basis @ (basis.T @ v)
    if np.linalg.norm(free) <= PARALLEL * np.linalg.norm(v):
        raise ValueError(f"the direction of {name!r} lies among the fixed ones; allowed: another")
    unit = (free / np.linalg.norm(free)).astype(np.float32)
    held = (basis @ basis.T).astype(np.float32)

    def move(code: Any, amount: float) -> Any:
        kept = code @ held
        rest = code - kept
        length = jnp.linalg.norm(rest, axis=-1, keepdims=True)
        towards = unit - rest * (rest @ unit)[..., None] / length**2
        sine = jnp.linalg.norm(towards, axis=-1, keepdims=True)
        if bool((sine <= PARALLEL).any()):
            raise ValueError(f"a code along the direction of {name!r} spans no circle with it")
        return kept + rest * np.cos(amount) + towards / sine * length * np.sin(amount)

    return Path(name, space, move, shape=unit.shape)


def learned_steps(
    name: str, space: str, forward: Callable[[Any], Any], backward: Callable[[Any], Any]
) -> Path:
    """Steps of two learned maps, the code drawn back to its length after each.

    `forward(code)` is one step, `backward(code)` one of the other way, trained beside it (Jahanian
    et al. 2020, section 3.2, the nonlinear walk). A fraction of a step is that part of the line to
    its end. The way back is that of the other map: as exact as its training.
    """
    check_function(f"forward of {name!r}", forward)
    check_function(f"backward of {name!r}", backward)

    def move(code: Any, amount: float) -> Any:
        step = forward if amount >= 0 else backward
        whole, part = divmod(abs(amount), 1.0)
        for share in (*([1.0] * int(whole)), *([part] if part else [])):
            moved = code + share * (step(code) - code)
            lengths = [jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (code, moved)]
            code = moved * lengths[0] / lengths[1]
        return code

    return Path(name, space, move)


def flow(name: str, space: str, velocity: Velocity, *, tolerance: float = 1e-5) -> Path:
    """The flow of a vector field: d code / dt = velocity(code, t), for the amount as time.

    Starts at t = 0; the way back is the same flow from the amount to 0. `tolerance` is that of the
    solver (Dormand and Prince's of order 5, by diffrax). Raises `ValueError` where diffrax is not
    installed (extra `edit`).
    """
    check_function(f"velocity of {name!r}", velocity)
    check_above("tolerance", tolerance, 0)
    load_diffrax()

    def between(code: Any, start: float, stop: float) -> Any:
        return solve(lambda x, t, given: velocity(x, t), code, (start, stop), tolerance=tolerance)

    return Path(
        name,
        space,
        lambda code, amount: between(code, 0.0, amount),
        lambda code, amount: between(code, amount, 0.0),
    )


def conditional_flow(
    name: str,
    space: str,
    velocity: Velocity,
    condition: Any,
    change: Any,
    *,
    end: float = 1.0,
    tolerance: float = 1e-5,
) -> Path:
    """Back along a flow under one condition, and forth under another.

    velocity(code, t, condition) leads from the code at time 0 to noise at `end`. A code is taken to
    its noise under `condition` [k], and from there to a code under condition + amount * `change`
    [k] (Abdal et al. 2021, StyleFlow, section 4). Errors as for `flow`.
    """
    before, step = (
        check_array(f"{w} of {name!r}", x)
        for w, x in zip(("condition", "change"), (condition, change), strict=True)
    )
    check_function(f"velocity of {name!r}", velocity)
    load_diffrax()

    def through(code: Any, first: Any, second: Any) -> Any:
        for given, times in ((first, (0.0, end)), (second, (end, 0.0))):
            code = solve(velocity, code, times, given=given, tolerance=tolerance)
        return code

    return Path(
        name,
        space,
        lambda code, amount: through(code, before, before + amount * step),
        lambda code, amount: through(code, before + amount * step, before),
    )
