"""Arrays of objects in .npy files, as ReStyle and HyperStyle save dicts: pickles behind a header.

`numpy.load` would run what they name; here they go through the same closed interpreter as others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxinv.io.arrays import read_header
from jaxinv.io.file_kinds import HEAD_BYTES
from jaxinv.io.files import BadFile, open_regular
from weights_convert.errors import UnsafeFileError
from weights_convert.readers.pickles import USUAL, Limits, read_pickle
from weights_convert.readers.safe_globals import DICTS, NUMPY, Pending, PendingArray, StandIn

SLACK = 2**20  # bytes that the result may take beyond that
OBJECTS = ("O8", "O4", "O")
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


class _ObjectType(Pending):
    """Stands for `numpy.dtype("O")`; whatever its state says."""

    def build(self, state: Any) -> None:
        """Take any state: it is not kept."""


class _Array(PendingArray):
    """Stands for an array of numbers, or of objects, which becomes a list."""

    objects: list[Any] | None = None

    def build(self, state: Any) -> None:
        """Take (version, shape, type, column-major?, a list of objects, or bytes)."""
        if type(state) is tuple and len(state) == 5 and isinstance(state[2], _ObjectType):
            if type(state[4]) is not list or self.objects is not None or self.array is not None:
                raise UnsafeFileError("pickle holds an array of objects without a list of them")
            self.objects = state[4]
        else:
            super().build(state)

    def result(self) -> Any:
        """The objects, themselves unfinished, or the array."""
        return super().result() if self.objects is None else self.objects


def _type(arguments: tuple[Any, ...]) -> Pending:
    objects = bool(arguments) and type(arguments[0]) is str and arguments[0] in OBJECTS
    return _ObjectType() if objects else NUMPY["numpy", "dtype"].call(arguments)


def _reconstruct(arguments: tuple[Any, ...]) -> Pending:
    NUMPY["numpy.core.multiarray", "_reconstruct"].call(arguments)  # refuses other classes
    return _Array()


_NAMES = {
    **NUMPY,
    **DICTS,
    ("numpy", "dtype"): StandIn(_type),
    **{(module, "_reconstruct"): StandIn(_reconstruct) for module in _MODULES[1:]},
}


def holds_objects(path: str | Path) -> bool:
    """Whether a .npy file says that it holds objects."""
    with open_regular(path) as file:
        return b"'descr': '|O'" in file.read(HEAD_BYTES)


def read(data: bytes, *, limits: Limits = USUAL) -> Any:
    """The plain contents of a .npy file of objects: of an array without axes the one object.

    The result takes at most twice the file's bytes. Raises `UnsafeFileError` for everything else.
    """
    limits = replace(limits, decoded_bytes=min(limits.decoded_bytes, 2 * len(data) + SLACK))
    try:
        header = read_header(data)
    except BadFile as error:
        raise UnsafeFileError(str(error)) from error
    if header.letter != "O":
        raise UnsafeFileError(f".npy file of {header.kind}; allowed here: objects")
    found = read_pickle(data[header.end :], names=_NAMES, limits=limits)
    if type(found) is not list or (not header.shape and len(found) != 1):
        raise UnsafeFileError(".npy file of objects without the array that its header states")
    return found if header.shape else found[0]
