"""The pickles of NVlabs' training code and what came of it, torch and TensorFlow, as plain trees.

Their official loaders execute source text that the file carries. Here it is dropped unread: an
object becomes its class's name and its attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weights_convert.errors import UnsafeFileError
from weights_convert.readers.inert_objects import TrainingNames
from weights_convert.readers.pickles import USUAL, Limits, Names, read_pickle
from weights_convert.readers.safe_globals import DICTS, MODULES, NUMPY, StandIn, holder
from weights_convert.readers.torch_files import TENSORS, Storage, raw_legacy

_STORAGE_NAMES: Names = {**NUMPY, **TENSORS}
_NETWORK = holder("Network", "build_module_src")
_TENSORFLOW: Names = {
    **NUMPY,
    **DICTS,
    **MODULES,
    ("dnnlib.tflib.network", "Network"): _NETWORK,
    ("tfutil", "Network"): _NETWORK,
}


def read(data: bytes, *, limits: Limits = USUAL) -> Any:
    """Plain tree of a pickle of either kind; `UnsafeFileError` for every other pickle."""
    return read_pickle(data, names=_names(len(data), limits), limits=limits)


def _names(size: int, limits: Limits) -> Mapping[tuple[str, str], StandIn]:
    left = 2 * size

    def storage(arguments: tuple[Any, ...]) -> Storage:
        # A complete legacy file of its own. Its bytes may be shared; what is parsed is budgeted.
        nonlocal left
        if len(arguments) != 1 or type(arguments[0]) is not bytes:
            raise UnsafeFileError("pickle loads a storage from something other than bytes")
        left -= len(arguments[0])
        if left < 0:
            raise UnsafeFileError("pickle loads the same storages again and again")
        found = raw_legacy(arguments[0], names=_STORAGE_NAMES, limits=limits)
        if not isinstance(found, Storage):
            raise UnsafeFileError("pickle loads a torch file that is no storage")
        return found

    load = {("torch.storage", "_load_from_bytes"): StandIn(storage)}
    return TrainingNames({**_TENSORFLOW, **TENSORS, **load})
