"""Solutions of ordinary differential equations: the one place that calls diffrax."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxinv.specs.checks import check_whole

if TYPE_CHECKING:
    from jaxinv.types import Tree


def solve(
    field: Callable[..., Any],
    start: Tree,
    times: tuple[Any, Any],
    *,
    given: Tree = None,
    tolerance: float = 1e-5,
    max_steps: int = 4096,
) -> Tree:
    """The solution at times[1] of dx/dt = field(x, t, given) that is `start` at times[0].

    x is any tree of arrays; the method is Dormand and Prince's of order 5, `tolerance` its absolute
    and relative one. Raises `ValueError` where diffrax is not installed, and where the solution
    needs more than `max_steps`; inside of compiled functions it is then NaN.
    """
    check_whole("max_steps", max_steps, 1)
    diffrax = load_diffrax()
    start = jax.tree.map(jnp.asarray, start)
    if not isinstance(times[0], jax.Array) and times[0] == times[1]:
        return start
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, args: field(x, t, args)),
        diffrax.Dopri5(),
        t0=times[0],
        t1=times[1],
        dt0=None,
        y0=start,
        args=given,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        max_steps=max_steps,
        throw=False,
    )
    ended = found.result == diffrax.RESULTS.successful
    if not isinstance(ended, Tracer) and not ended:
        raise ValueError(f"the flow needs more than {max_steps} steps; allowed: a smoother one")
    return jax.tree.map(lambda y: jnp.where(ended, y[0], jnp.nan), found.ys)


def load_diffrax() -> Any:
    """The package; `ValueError` saying how to install it where it is not."""
    try:
        import diffrax
    except ImportError as error:
        raise ValueError("flows need diffrax: pip install 'jaxinv[edit]'") from error
    return diffrax
