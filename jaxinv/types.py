"""Array aliases and the dictionaries that travel through every function.

`Latents` holds ONE sample: its keys are latent spaces or variables ("z", "w", "w+", "s", "noise",
"label", "embedding") and its values are arrays or tuples of arrays. Batches of samples are the same
tree with leading axes. `State` holds the features of one sample between two steps of a generator.
`Params` is the nested dict of arrays that a checkpoint stores. `Metrics` are named numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import jax

    Array: TypeAlias = jax.Array
else:
    Array = Any

Key: TypeAlias = Array
Params: TypeAlias = dict[str, Any]
Latents: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
Tree: TypeAlias = Any
Metrics: TypeAlias = dict[str, Array]
