"""The module that all networks are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable


class Module(nn.Module):
    """A Flax module that takes the parameters it is given as they are.

    Flax traces the initialiser of every parameter in every pass, for its shape alone: a third of
    the time to trace a generator and its gradient. The shape is compared all the same.
    """

    def param(self, name: str, init_fn: Callable[..., Any], *init_args: Any, **others: Any) -> Any:
        """The parameter `name`; made by `init_fn(key, shape)` if there is none.

        Raises `ValueError` if the one that was given has another shape.
        """
        if not self.has_variable("params", name):
            return super().param(name, init_fn, *init_args, **others)
        value = self.get_variable("params", name)
        if init_args and jnp.shape(value) != tuple(init_args[0]):
            path = "/".join((*self.path, name))
            raise ValueError(
                f"parameter {path!r} has shape {jnp.shape(value)}; allowed: {tuple(init_args[0])}"
            )
        return value
