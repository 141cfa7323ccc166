"""Objects of training code that a checkpoint carries beside its arrays: named, never resolved.

Pickles of whole training states hold optimizers, hooks and functions (dill stores even the code of
these) of several libraries. Each becomes its class's name and, where it has attributes, those; what
a file calls or sets on it is dropped.
"""

from __future__ import annotations

from typing import Any

from weights_convert.errors import UnsafeFileError
from weights_convert.readers.safe_globals import (
    DICT,
    Inert,
    Name,
    PendingArray,
    PendingDtype,
    StandIn,
    inert_name,
)

Pair = tuple[str, str]
# Libraries whose classes published training states name.
PACKAGES = (
    "torch", "torchvision", "timm", "training", "torch_utils", "dnnlib", "pg_modules", "R3GAN",
    "feature_networks", "legacy", "metrics",
)  # fmt: skip
# Single names of others; dill writes those of builtins to take functions apart.
SINGLE = (("builtins", "getattr"), ("builtins", "setattr"), ("__builtin__", "__main__"))
DILL = ("dill", "dill._dill")


class TrainingNames(dict[Pair, StandIn]):
    """A table of names, and besides every class of `PACKAGES` and of dill as an inert one."""

    def __contains__(self, pair: object) -> bool:
        return super().__contains__(pair) or (
            isinstance(pair, tuple)
            and (pair in SINGLE or pair[0] in DILL or str(pair[0]).split(".")[0] in PACKAGES)
        )

    def __missing__(self, pair: Pair) -> StandIn:
        if pair[0] in DILL:
            return _OF_DILL.get(pair[1], inert_name(pair[1], keep=False))
        return inert_name(pair[1], keep=pair not in SINGLE)


def _array(arguments: tuple[Any, ...]) -> PendingArray:
    """An array that dill takes apart: (function, its arguments, state, attributes or nothing)."""
    if len(arguments) not in (3, 4) or not isinstance(arguments[0], Name):
        raise UnsafeFileError("pickle of dill holds an array in another form")
    function, given, state = arguments[:3]
    made = function.stand_in.call(given) if type(given) is tuple else None
    if not isinstance(made, PendingArray) or isinstance(made, PendingDtype):
        raise UnsafeFileError("pickle of dill reconstructs something other than an array")
    made.build(state)
    return made


def _type(arguments: tuple[Any, ...]) -> Name | Inert:
    """A type by its name, of which only the dict is needed."""
    return Name(DICT) if arguments in (("OrderedDict",), ("dict",)) else Inert("type", keep=False)


_OF_DILL = {"_create_array": StandIn(_array), "_load_type": StandIn(_type)}
