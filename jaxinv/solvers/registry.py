"""Solver names to solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxinv.solvers.first_order import EXTRAS, TRANSFORMS, Extras, Moves, first_order
from jaxinv.solvers.lbfgs import Options, lbfgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.solvers.base import Solver
    from jaxinv.specs import SolverSpec
    from jaxinv.types import Tree


def build(
    spec: SolverSpec,
    hook: Callable[[Tree], Tree] | None = None,
    rates: tuple[tuple[str, float], ...] = (),
) -> Solver:
    """The solver that `spec` names, with `hook` applied to the point after every step.

    `rates` are factors of the learning rate of some variables, for first-order solvers. Raises
    `ValueError` for an option it does not take, or a hook it cannot apply: L-BFGS takes none, since
    a projection after the step would break its history.
    """
    options: dict[str, Any] = dict(spec.options)
    if spec.name == "lbfgs":
        unknown = set(options) - set(Options._fields)
        if unknown:
            raise ValueError(
                f"unknown lbfgs options {sorted(unknown)}; allowed: {', '.join(Options._fields)}"
            )
        if rates:
            raise ValueError("solver 'lbfgs' takes no rates; allowed: " + ", ".join(TRANSFORMS))
        if hook is not None:
            raise ValueError("solver 'lbfgs' takes no hooks; allowed: " + ", ".join(TRANSFORMS))
        whole = {name: int(options[name]) for name in ("history", "warmup") if name in options}
        chosen: dict[str, Any] = {"rate": spec.learning_rate, **options, **whole}
        return lbfgs(Options(**chosen))
    beside = {name: options.pop(name) for name in Extras._fields if name in options}
    extras = EXTRAS.get(spec.name, Extras())._replace(**beside)
    try:
        transform = TRANSFORMS[spec.name](**options)
    except TypeError as error:
        raise ValueError(f"solver {spec.name!r}: {error}") from error
    moves = Moves(extras, rates, hook)
    return first_order(transform, spec.learning_rate, spec.schedule, moves)
