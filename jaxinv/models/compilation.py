"""Large programs of the CPU, compiled in less time."""

from __future__ import annotations

from functools import cache, cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")
# XLA's newer way of compiling what it has fused, one module for each fusion. Without it searches
# compile much faster, and their steps are as fast. Releases that know no other refuse the option.
FUSION_EMITTERS = "xla_cpu_use_fusion_emitters"


@cache
def compiler_options() -> dict[str, bool] | None:
    """What large programs are compiled with: None but on CPUs, and where XLA does not know it."""
    options = {FUSION_EMITTERS: False}
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(jnp.negative, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options


class Program(Generic[P, R]):
    """A function that is compiled with `compiler_options` when it is called first.

    `settings` are those of `jax.jit`; not to be called within another program.
    """

    def __init__(self, fn: Callable[P, R], **settings: Any) -> None:
        self.fn, self.settings = fn, settings
        update_wrapper(self, fn)

    @cached_property
    def compiled(self) -> Any:
        """What `jax.jit` makes of it."""
        return jax.jit(self.fn, compiler_options=compiler_options(), **self.settings)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the compiled function."""
        return self.compiled(*args, **kwargs)

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The program of these arguments, which may be shapes, before it is compiled."""
        return self.compiled.lower(*args, **kwargs)
