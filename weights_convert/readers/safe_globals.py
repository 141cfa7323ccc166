"""Inert stand-ins for the names in a pickle of arrays; none is or calls the thing it stands for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError

MAX_RANK = 16
_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class Pending:
    """A value under construction: `build` sets its state, `result` gives it or fails."""

    def build(self, state: Any) -> None:
        """Take the state that follows the construction; `UnsafeFileError` if it does not fit."""
        raise UnsafeFileError("pickle sets a state where none belongs")

    def result(self) -> Any:
        """The finished value; `UnsafeFileError` if it is unfinished or has no plain form."""
        raise UnsafeFileError(f"pickle leaves an unfinished {type(self).__name__}")


@dataclass(frozen=True)
class StandIn:
    """What a name may do: `call` maps a REDUCE's argument tuple to a value or a pending one."""

    call: Callable[[tuple[Any, ...]], Any]


@dataclass(frozen=True)
class Name:
    """A name on the stack: it can be called or passed to a stand-in, never be part of a result.

    Only that of an inert thing can be, as None.
    """

    stand_in: StandIn


@dataclass(frozen=True)
class InertStandIn(StandIn):
    """The stand-in of a name that nothing is done with."""


class Inert(Pending):
    """An object that nothing is done with; it takes any state, items and calls, and drops them.

    With `keep`, attributes are kept: the result is {"class": its class, "state": attributes}.
    """

    def __init__(self, kind: str, *, keep: bool) -> None:
        self.kind, self.keep = kind, keep
        self.state: dict[Any, Any] = {}

    def build(self, state: Any) -> None:
        """Take the attributes, if it is told to keep them."""
        if self.keep and type(state) is dict:
            self.state.update(state)

    def result(self) -> dict[str, Any]:
        """The class's name, and its attributes, themselves unfinished."""
        return {"class": self.kind, "state": self.state} if self.keep else {"class": self.kind}


def inert_name(kind: str, *, keep: bool) -> InertStandIn:
    """Stand-in of a class of which any objects may be made: see `Inert`."""
    return InertStandIn(lambda _: Inert(kind, keep=keep))


class PendingDtype(Pending):
    """Stands for `numpy.dtype`: a number type whose byte order comes with the state."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "<"

    def build(self, state: Any) -> None:
        """Take the byte order from (version, order, ...); fields and subarrays are refused."""
        plain = type(state) is tuple and len(state) in (8, 9) and state[2:5] == (None, None, None)
        if not plain or type(state[1]) is not str or state[1] not in ("<", ">", "|", "="):
            raise UnsafeFileError(
                "pickle holds an array type with fields or without byte order; allowed: numbers"
            )
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(f"{self.order}{self.code}")


class PendingArray(Pending):
    """Stands for `numpy.ndarray`: shape, type and bytes come with the state and must agree."""

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, column-major?, bytes). The bytes are not copied."""
        if type(state) is not tuple or len(state) != 5 or self.array is not None:
            raise UnsafeFileError("pickle sets the state of an array twice or in another form")
        _, shape, dtype, column_major, raw = state
        if (
            not isinstance(dtype, PendingDtype)
            or type(raw) is not bytes
            or type(column_major) is not bool
        ):
            raise UnsafeFileError("pickle holds an array without a number type or without bytes")
        if (
            type(shape) is not tuple
            or len(shape) > MAX_RANK
            or not all(type(n) is int and n >= 0 for n in shape)
        ):
            raise UnsafeFileError(
                f"pickle holds an array of bad shape; allowed: up to {MAX_RANK} sizes >= 0"
            )
        kind = dtype.dtype()
        if math.prod(shape) * kind.itemsize != len(raw):
            raise UnsafeFileError(
                f"pickle holds an array of {len(raw)} bytes that its shape and type do not need"
            )
        flat = np.frombuffer(raw, kind)
        self.array = flat.reshape(shape, order="F" if column_major else "C")

    def result(self) -> np.ndarray:
        """The array, in this machine's byte order; only now is any of it looked at or copied."""
        if self.array is None:
            return super().result()
        if self.array.dtype.kind == "b" and (self.array.view(np.uint8) > 1).any():
            raise UnsafeFileError("pickle holds booleans other than 0 and 1")
        return self.array.astype(self.array.dtype.newbyteorder("="), copy=False)


class PendingDict(Pending):
    """Stands for a kind of dict, or for an object that is only its attributes.

    `dropped` are attributes that are not kept.
    """

    def __init__(
        self,
        items: dict[Any, Any] | None = None,
        *,
        stateful: bool = False,
        dropped: tuple[str, ...] = (),
    ) -> None:
        self.items: dict[Any, Any] = {} if items is None else items
        self.stateful, self.dropped = stateful, dropped

    def build(self, state: Any) -> None:
        """Take the attributes of an object; those of a dict (its `_metadata`) are dropped."""
        if type(state) is not dict:
            raise UnsafeFileError("pickle sets a state that is not a dict of attributes")
        if self.stateful:
            self.items.update((k, v) for k, v in state.items() if k not in self.dropped)

    def result(self) -> dict[Any, Any]:
        """The items, themselves unfinished."""
        return self.items


class PendingScalar(Pending):
    """Stands for a numpy number."""

    def __init__(self, dtype: PendingDtype, raw: bytes) -> None:
        self.dtype, self.raw = dtype, raw

    def result(self) -> Any:
        """The number as Python's."""
        kind = self.dtype.dtype()
        if len(self.raw) != kind.itemsize:
            raise UnsafeFileError(f"pickle holds a number of {len(self.raw)} bytes, not of {kind}")
        return np.frombuffer(self.raw, kind)[0].item()


def holder(kind: str, *dropped: str) -> StandIn:
    """Stand-in of a class whose objects become dicts of attributes, with their class's name.

    The attributes called `dropped` are not kept.
    """
    return StandIn(lambda _: PendingDict({"class": kind}, stateful=True, dropped=dropped))


def _call_dict(arguments: tuple[Any, ...]) -> PendingDict:
    pairs = arguments[0] if arguments else []
    items: dict[Any, Any] = {}
    if len(arguments) > 1 or type(pairs) is not list:
        raise UnsafeFileError("pickle makes a dict of something other than pairs")
    for pair in pairs:
        if type(pair) not in (list, tuple) or len(pair) != 2 or type(pair[0]) is not str:
            raise UnsafeFileError("pickle makes a dict of something other than pairs")
        items[pair[0]] = pair[1]
    return PendingDict(items)


def _call_set(arguments: tuple[Any, ...]) -> list[Any]:
    # As for the opcode: a list does as well, and hashes nothing.
    if len(arguments) > 1 or (arguments and type(arguments[0]) is not list):
        raise UnsafeFileError("pickle makes a set of something other than a list")
    return arguments[0] if arguments else []


def _call_persistent(arguments: tuple[Any, ...]) -> dict[str, Any]:
    facts = arguments[0] if len(arguments) == 1 else None
    if type(facts) is not dict or facts.get("type") != "class":
        raise UnsafeFileError("pickle reconstructs something other than a persistent object")
    return {"class": facts.get("class_name"), "state": facts.get("state")}


def _call_scalar(arguments: tuple[Any, ...]) -> PendingScalar:
    if (
        len(arguments) != 2
        or not isinstance(arguments[0], PendingDtype)
        or type(arguments[1]) is not bytes
    ):
        raise UnsafeFileError("pickle holds a number without a type or without bytes")
    return PendingScalar(*arguments)


def _call_encode(arguments: tuple[Any, ...]) -> bytes:
    # How pickles of protocol 2 spell bytes.
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] != "latin1":
        raise UnsafeFileError("pickle encodes a text other than as latin1")
    return arguments[0].encode("latin-1")


def _call_dtype(arguments: tuple[Any, ...]) -> PendingDtype:
    if not arguments or type(arguments[0]) is not str or arguments[0] not in _NUMBERS:
        shown = arguments[0][:20] if arguments and type(arguments[0]) is str else "?"
        raise UnsafeFileError(
            f"pickle holds the array type {shown!r}; allowed: {', '.join(_NUMBERS)}"
        )
    return PendingDtype(arguments[0])


def _call_ndarray(arguments: tuple[Any, ...]) -> Pending:
    raise UnsafeFileError("pickle calls numpy.ndarray; it may only be named")


def _call_reconstruct(arguments: tuple[Any, ...]) -> PendingArray:
    if not arguments or not isinstance(arguments[0], Name) or arguments[0].stand_in is not _NDARRAY:
        raise UnsafeFileError("pickle reconstructs something other than numpy.ndarray")
    return PendingArray()


_NDARRAY = StandIn(_call_ndarray)
_RECONSTRUCT = StandIn(_call_reconstruct)

NUMPY: Mapping[tuple[str, str], StandIn] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): StandIn(_call_dtype),
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): StandIn(_call_scalar),
    ("numpy._core.multiarray", "scalar"): StandIn(_call_scalar),
    ("_codecs", "encode"): StandIn(_call_encode),
}
DICT = StandIn(_call_dict)
SET = StandIn(_call_set)
# Modules of NVlabs' torch code: class name and attributes. The source text that they carry, which
# the official loader executes, is dropped unread.
MODULES: Mapping[tuple[str, str], StandIn] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): StandIn(_call_persistent),
    ("dnnlib.util", "EasyDict"): DICT,
    ("__builtin__", "set"): SET,
    ("builtins", "set"): SET,
}
DICTS: Mapping[tuple[str, str], StandIn] = {("collections", "OrderedDict"): DICT}
