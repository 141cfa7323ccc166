"""All devices as one row: the batch is shared out among them, the state is on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

if TYPE_CHECKING:
    from jaxinv.types import Tree

AXIS = "batch"


def all_devices() -> Mesh:
    """The devices of all processes as one axis."""
    return Mesh(np.asarray(jax.devices()), (AXIS,))


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
    """The same arrays on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
