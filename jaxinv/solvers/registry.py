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
    unknown = set(options) - set(OPTIONS[spec.name])
    if unknown:
        allowed = ", ".join(OPTIONS[spec.name])
        raise ValueError(f"unknown {spec.name} options {sorted(unknown)}; allowed: {allowed}")
    return OTHERS[spec.name](spec, options)


def _population(spec: SolverSpec, options: dict[str, Any]) -> Solver:
    return population(spec.name, spec.learning_rate, options.get("population"))


def _markov_chain(spec: SolverSpec, options: dict[str, Any]) -> Solver:
    chosen: dict[str, Any] = {**MARKOV_CHAINS[spec.name], **options}
    return hmc(spec.name, Leaps(**chosen), spec.learning_rate, spec.schedule)


# What a spec and its options make, for every solver that is no gradient transformation.
OTHERS: dict[str, Callable[[SolverSpec, dict[str, Any]], Solver]] = {
    **dict.fromkeys(STRATEGIES, _population),
    **dict.fromkeys(BASINS, lambda s, o: basin(s.name, s.learning_rate, Basins(**o))),
    **dict.fromkeys(MARKOV_CHAINS, _markov_chain),
    "lbfgs": lambda s, o: lbfgs(Options(rate=s.learning_rate)._replace(**o)),
    "lm": lambda s, o: levenberg_marquardt(Products(**o)),
    "one-plus-one": lambda s, o: draws(s.learning_rate, adapt=True),
    "random": lambda s, o: draws(s.learning_rate, adapt=False),
    "sgld": lambda s, o: sgld(o.get("temperature", 1.0), s.learning_rate, s.schedule),
}
