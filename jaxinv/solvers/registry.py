"""Solver names to solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxinv.solvers.basin_cma import BASINS, basin
from jaxinv.solvers.basin_cma import Options as Basins
from jaxinv.solvers.evolution import STRATEGIES, population
from jaxinv.solvers.first_order import EXTRAS, TRANSFORMS, Extras, UpdateOptions, first_order
from jaxinv.solvers.lbfgs import Options, lbfgs
from jaxinv.solvers.levenberg_marquardt import Options as Products
from jaxinv.solvers.levenberg_marquardt import levenberg_marquardt
from jaxinv.solvers.mcmc import MARKOV_CHAINS, hmc, sgld
from jaxinv.solvers.mcmc import Options as Leaps
from jaxinv.solvers.random_search import draws
from jaxinv.specs.vocabulary import OPTIONS, WHOLE_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.solvers.base import Solver
    from jaxinv.specs import SolverSpec
    from jaxinv.types import Key, Tree


def build(
    spec: SolverSpec,
    hook: Callable[[Tree, Tree, Key], Tree] | None = None,
    rates: tuple[tuple[str, float], ...] = (),
) -> Solver:
    """The solver that `spec` names, with `hook` applied to the point after every step.

    `rates` are factors of the learning rate of some variables, for first-order solvers. Raises
    `ValueError` for an option it does not take, for a hook or rates where it takes none (they would
    break its history), and for a package that is not installed.
    """
    options: dict[str, Any] = {
        name: int(value) if name in WHOLE_OPTIONS else value for name, value in spec.options
    }
    for name, given in (("hooks", hook), ("rates", rates)):
        if given and spec.name not in TRANSFORMS:
            allowed = ", ".join(TRANSFORMS)
            raise ValueError(f"solver {spec.name!r} takes no {name}; allowed: {allowed}")
    if spec.name not in TRANSFORMS:
        return _other(spec, options)
    beside = {name: options.pop(name) for name in Extras._fields if name in options}
    extras = EXTRAS.get(spec.name, Extras())._replace(**beside)
    try:
        transform = TRANSFORMS[spec.name](**options)
    except TypeError as error:
        raise ValueError(f"solver {spec.name!r}: {error}") from error
    moves = UpdateOptions(extras, rates, hook)
    return first_order(transform, spec.learning_rate, spec.schedule, moves)


def _other(spec: SolverSpec, options: dict[str, Any]) -> Solver:
    """A solver that is no gradient transformation."""
    name, rate = spec.name, spec.learning_rate
    unknown = set(options) - set(OPTIONS[name])
    if unknown:
        allowed = ", ".join(OPTIONS[name])
        raise ValueError(f"unknown {name} options {sorted(unknown)}; allowed: {allowed}")
    made: dict[str, Callable[[], Solver]] = {
        "sgld": lambda: sgld(options.get("temperature", 1.0), rate, spec.schedule),
        "one-plus-one": lambda: draws(rate, adapt=True),
        "random": lambda: draws(rate, adapt=False),
        "lbfgs": lambda: lbfgs(Options(rate=rate)._replace(**options)),
        "lm": lambda: levenberg_marquardt(Products(**options)),
    }
    if name in STRATEGIES:
        return population(name, rate, options.get("population"))
    if name in BASINS:
        return basin(name, rate, Basins(**options))
    if name in MARKOV_CHAINS:
        chosen: dict[str, Any] = {**MARKOV_CHAINS[name], **options}
        return hmc(name, Leaps(**chosen), rate, spec.schedule)
    return made[name]()
