"""All devices as one row: the batch is shared out among them, the state is on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

if TYPE_CHECKING:
    from jaxinv.types import Tree

AXIS = "batch"


def all_devices() -> Mesh:
    """The devices of all processes as one axis."""
    return Mesh(np.asarray(jax.devices()), (AXIS,))


def meet() -> None:
    """Let all processes connect while they are about as far as each other.

    They do so at their first common step, and give up where one is much later than the others.
    """
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("meet")


def check_batch(mesh: Mesh, batch: int) -> None:
    """Raise `ValueError` unless the devices can share a batch evenly."""
    if batch % mesh.size:
        raise ValueError(f"batch {batch}; allowed: a multiple of the {mesh.size} devices")


def shared_out(mesh: Mesh, batch: Tree) -> Tree:
    """A batch of numpy arrays, the rows of this process, with its first axis over the devices."""
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))
    return jax.tree.map(lambda a: jax.make_array_from_process_local_data(sharding, a), batch)


def shared_rows(tree: Tree) -> Tree:
    """Inside a compiled step: arrays made there, with their first axis over the devices.

    Where the devices cannot share it evenly it is left to the compiler.
    """
    mesh = all_devices()
    sharding = NamedSharding(mesh, PartitionSpec(AXIS))

    def one(a: Any) -> Any:
        even = mesh.size > 1 and len(a) % mesh.size == 0
        return jax.lax.with_sharding_constraint(a, sharding) if even else a

    return jax.tree.map(one, tree)


def on_each(mesh: Mesh, tree: Tree) -> Tree:
    """The same arrays on every device, random keys among them; all processes give the same."""
    sharding = NamedSharding(mesh, PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def one(a: Any) -> Any:
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(one(jax.random.key_data(a)))
        return jax.make_array_from_process_local_data(sharding, np.asarray(a))

    return jax.tree.map(one, tree)
