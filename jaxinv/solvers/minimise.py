"""`minimise`: a solver alone, on any function and from many starts, without images or GANs."""

# jax annotates its arguments only in part (here: vmap, while_loop, Partial).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import inspect
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jaxinv.solvers.base import LeastSquares, Solver, side_by_side, strip_weak_types, tree_where
from jaxinv.solvers.registry import build
from jaxinv.specs import SolverSpec
from jaxinv.specs.checks import check_array, check_key, check_whole, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Key, Tree


class Minimum(NamedTuple):
    """What L searches have reached.

    Attributes:
        u: the point with the lowest loss that was evaluated, a tree with leaves [L, ...].
        loss: [L], its loss; infinite where none was finite (then `u` is the start).
        losses: [L, steps] of every evaluation, NaN for those that a failed search did not make.
        evaluations: [L], how many there were.
        failed: [L], whether the solver could not go on.
    """

    u: Tree
    loss: Array
    losses: Array
    evaluations: Array
    failed: Array


def minimise(
    fn: Any,
    solver: str | SolverSpec | Solver,
    u0: Tree,
    steps: int,
    *,
    key: Key | None = None,
    width: int | None = None,
) -> Minimum:
    """The lowest point of `fn` that `solver` finds from each of L starts in `steps` evaluations.

    Every step is exactly one evaluation: of the loss, of the loss with its gradient, or of a
    product with its derivatives, whatever the solver makes of it. A search that fails stops at its
    best point and the others go on. The loop is compiled once per function, solver, steps and
    shapes.

    Args:
        fn: one point u, leaves [...], to a scalar loss: `fn(u)` or `fn(u, key)`, which returns the
            loss or (loss, aux). For sums of squares it may be an object with `residuals`, called
            alike, that returns a vector [m] whose squared norm is the loss: "lm" uses it. Large
            arrays are bound, `jax.tree_util.Partial(fn, arrays)` for an fn(arrays, u), not closed
            over.
        solver: a name (with its usual options), a `SolverSpec`, or a `Solver` of your own. The
            schedule of a `SolverSpec` runs over `steps`.
        u0: the starts, a tree of float arrays [L, ...] (of a single start u: `u[None]`).
        steps: evaluations of each search.
        key: a random key, `jax.random.key(0)` if left out; search i has `fold_in(key, i)`. Or a key
            for each [L]. Solvers that compare losses of several steps give `fn` one key throughout.
        width: searches that run at a time, usually all. Neighbours make no difference to a search;
            how many run with it may change the last digits, least so with a width of 1.

    Raises:
        ValueError: before anything is compiled, for an unknown solver or option, steps that are not
            whole, leaves that have no leading axis in common or are not floats, keys that do not
            fit, and an `fn` that takes or returns something else.

    >>> import jax.numpy as jnp
    >>> import jaxinv
    >>> def valley(u):
    ...     return (1 - u[0]) ** 2 / 100 + (u[1] - u[0] ** 2) ** 2
    >>> found = jaxinv.minimise(valley, "lbfgs", jnp.array([[-1.2, 1.0], [2.0, -1.0]]), 80)
    >>> found.u.round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    >>> found.losses.shape, found.failed.tolist()
    ((2, 80), [False, False])
    """
    check_whole("steps", steps, 1)
    chosen, points = _solver(solver), _starts(u0)
    count, squares = len(jax.tree.leaves(points)[0]), hasattr(fn, "residuals")
    check_whole("width", count if width is None else width, 1)
    called = fn.residuals if squares else fn
    plan = _Plan(
        chosen, int(steps), count if width is None else int(width), squares, _takes_key(called)
    )
    bound = called if isinstance(called, Partial) else Partial(called)
    return _run(plan, bound, (points, _lane_keys(key, count)))


class _Plan(NamedTuple):
    """What a compiled loop depends on."""

    solver: Solver
    steps: int
    width: int
    squares: bool
    takes_key: bool


@partial(jax.jit, static_argnums=0)
def _run(plan: _Plan, fn: Callable[..., Any], lanes: tuple[Tree, Key]) -> Minimum:
    solver, steps = plan.solver, plan.steps
    objective = _objective(plan, fn)

    def lane(given: tuple[Tree, Key]) -> Minimum:
        u, key = given

        def running(carry: tuple[Any, Minimum]) -> Array:
            return (carry[1].evaluations < steps) & ~carry[1].failed

        def body(carry: tuple[Any, Minimum]) -> tuple[Any, Minimum]:
            state, best = carry
            step = best.evaluations
            step_key = jax.random.fold_in(key, 0 if solver.fixed_objective else step)
            state, seen = solver.step(step_key, objective, state, step / steps)
            better = jnp.isfinite(seen.loss) & (seen.loss < best.loss)
            u, loss = tree_where(better, (seen.u, seen.loss), (best.u, best.loss))
            losses = best.losses.at[step].set(seen.loss)
            return state, Minimum(u, loss, losses, step + 1, jnp.asarray(seen.failed))

        none, over = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
        start = Minimum(u, jnp.full((), jnp.inf), jnp.full(steps, jnp.nan), none, over)
        carry = strip_weak_types((solver.init(u), start))
        return jax.lax.while_loop(running, body, carry)[1]

    return side_by_side(lane, plan.width, lanes)


def _takes_key(fn: Any) -> bool:
    """Whether `fn` is called with a key; `ValueError` for what cannot be called with a point."""
    if not callable(fn):
        raise ValueError(f"fn {told(fn)}; allowed: a function, an object with residuals")
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(fn).parameters.values()
    needed = [p.name for p in parameters if p.kind in kinds and p.default is p.empty]
    if len(needed) not in (1, 2):
        raise ValueError(f"fn takes ({', '.join(needed)}); allowed: (u), (u, key)")
    return len(needed) == 2


def _objective(plan: _Plan, fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function (u, key) -> (loss, aux) of the solvers, with residuals where it has some."""
    squares = plan.squares
    allowed = "a float vector [m]" if squares else "a float scalar"

    def call(u: Tree, key: Key) -> tuple[Array, tuple[()]]:
        found: Any = fn(u, key) if plan.takes_key else fn(u)
        value = found[0] if isinstance(found, tuple) and len(found) == 2 else found
        given = jax.tree.leaves(value)
        leaves = [leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in given]
        floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
        if len(leaves) != 1 or [leaf.ndim for leaf in floats] != [squares]:
            returned = ", ".join(map(told, leaves)) or "nothing"
            raise ValueError(f"fn returns {returned}; allowed: {allowed}, alone or with aux")
        return jnp.asarray(leaves[0]).astype(float), ()

    return LeastSquares(call) if squares else call


def _solver(solver: Any) -> Solver:
    if isinstance(solver, Solver):
        return solver
    if not isinstance(solver, str | SolverSpec):
        raise ValueError(f"solver {told(solver)}; allowed: a name, a SolverSpec, a Solver")
    return _built(SolverSpec(solver) if isinstance(solver, str) else solver)


_built = lru_cache(maxsize=64)(build)  # equal specs give one object, and so one program


def _starts(u0: Tree) -> Tree:
    """The starts as float arrays that have their leading axis in common."""
    leaves, usual = jax.tree.leaves(u0), jnp.zeros(()).dtype
    for leaf in leaves:
        if not isinstance(leaf, jax.Array):  # nor a value that jax traces
            check_array("u0", leaf, meant=" [L, ...], one start each")
    named = [f"{jnp.result_type(leaf)}{list(np.shape(leaf))}" for leaf in leaves]
    axes = {np.shape(leaf)[:1] for leaf in leaves}
    other = any(jnp.result_type(leaf) != usual for leaf in leaves)
    if len(axes) != 1 or axes <= {(), (0,)} or other:
        raise ValueError(
            f"u0 has leaves {', '.join(named) or 'nothing'}; allowed: {usual}[L, ...], "
            f"with the same number L of starts in all (of a single start u: u[None])"
        )
    return strip_weak_types(u0)


def _lane_keys(key: Any, count: int) -> Key:
    key = jax.random.key(0) if key is None else key
    check_key(key, count)
    return key if key.shape else jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(count))
