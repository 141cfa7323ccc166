"""A reader of pickles that cannot execute anything: a stack machine over a closed set of opcodes.

It never imports, looks up or calls what a file names. A file can name only the entries of a closed
table, and each of those is a stand-in made here (`weights_convert.readers.safe_globals`).
Everything else ends in `UnsafeFileError`: other opcodes (EXT*, INST, OBJ, PERSID, text opcodes of
protocol 0), other names, unfinished objects, and whatever exceeds the limits. Opcodes are those of
the standard library's `pickletools` (PEP 307, PEP 3154).
"""

from __future__ import annotations

import contextlib
import io
import pickletools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.readers.safe_globals import (
    NUMPY,
    Inert,
    InertStandIn,
    Name,
    Pending,
    PendingDict,
    StandIn,
)

_MAX_NAME = 128
# Beyond it, and where hashes wrap around, numbers with equal hashes make a dict quadratic.
_MAX_KEY = 2**53
MENTIONS = 8
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}


@dataclass(frozen=True)
class Limits:
    """Budgets of one read: file size, opcodes, memo entries, nesting, size of the result."""

    file_bytes: int = 2**31
    opcodes: int = 500_000
    memo: int = 250_000
    depth: int = 64
    nodes: int = 250_000
    decoded_bytes: int = 2**32


USUAL = Limits()


Names = Mapping[tuple[str, str], StandIn]
Persistent = Callable[[Any], Any]


def read_pickle(data: bytes, *, names: Names = NUMPY, limits: Limits = USUAL) -> Any:
    """Read nested dicts, lists, tuples, strings, numbers, bytes and arrays from a pickle's bytes.

    `names` is the closed table of (module, name) pairs that the file may mention. The result shares
    no container with itself, so walking it is bounded by `limits`. Raises `UnsafeFileError`, and
    nothing else, for everything that is malformed, not allowed or too large.
    """
    stream = io.BytesIO(data)
    raw = read_raw(stream, names=names, limits=limits)
    if stream.read(1):
        raise UnsafeFileError("pickle is followed by other data")
    return plain(raw, limits)


def read_raw(
    stream: io.BytesIO,
    *,
    names: Names = NUMPY,
    limits: Limits = USUAL,
    persistent: Persistent | None = None,
) -> Any:
    """Read one pickle of a stream, up to its end mark, without finishing its pending values.

    `persistent` gives the value of a persistent id; without it they are refused. Errors as for
    `read_pickle`. The result may share its parts and contain itself: only `plain` may walk it.
    """
    size = stream.getbuffer().nbytes
    if size > limits.file_bytes:
        raise UnsafeFileError(f"pickle of {size} bytes; allowed: at most {limits.file_bytes}")
    with _one_error():
        return _Machine(stream, names, limits, persistent).run()


def plain(raw: Any, limits: Limits = USUAL) -> Any:
    """The plain, unshared tree of a value that `read_raw` gave; errors as for `read_pickle`."""
    with _one_error():
        return _Finisher(limits).finish(raw, 0)


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    try:
        yield
    except UnsafeFileError:
        raise
    except Exception as error:
        # The message names only the error's type: its text may quote the file.
        raise UnsafeFileError(f"malformed pickle ({type(error).__name__})") from None


@dataclass
class _Machine:
    stream: io.BytesIO
    names: Names
    limits: Limits
    persistent: Persistent | None
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    copied: Counter[str] = field(default_factory=Counter)

    def run(self) -> Any:
        for _ in range(self.limits.opcodes):
            code = self.stream.read(1).decode("latin-1")
            opcode = _OPCODES.get(code)
            name = "end of the file" if not code else opcode.name if opcode else f"{ord(code):#x}"
            if name == "STOP":
                return self._stop()
            # Decided before the argument is read: an opcode outside the table is not even parsed.
            if opcode is None or name not in _HANDLERS:
                raise UnsafeFileError(f"pickle opcode {name} is not allowed")
            _HANDLERS[name](self, self._argument(opcode))
        raise UnsafeFileError(f"pickle of more than {self.limits.opcodes} opcodes")

    def _argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        if opcode.name == "GLOBAL":
            return tuple(self._line() for _ in range(2))
        return opcode.arg.reader(self.stream) if opcode.arg is not None else None

    def _line(self) -> str:
        line = self.stream.readline(_MAX_NAME)
        if not line.endswith(b"\n"):
            raise UnsafeFileError("pickle names a module or object without an end")
        return line[:-1].decode("ascii")

    def _stop(self) -> Any:
        if len(self.stack) != 1 or self.marks:
            raise UnsafeFileError("pickle ends with an unfinished stack")
        return self.stack[0]

    def mark(self) -> None:
        if len(self.marks) >= self.limits.depth:
            raise UnsafeFileError(f"pickle nested deeper than {self.limits.depth}")
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def push_tuple(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def put(self, index: int) -> None:
        if len(self.memo) >= self.limits.memo:
            raise UnsafeFileError(f"pickle memo of more than {self.limits.memo} entries")
        self.memo[index] = self.stack[-1]

    def name(self, module: object, name: object) -> None:
        if (
            not (isinstance(module, str) and isinstance(name, str))
            or (module, name) not in self.names
        ):
            shown = (
                f"{module}.{name}"[:_MAX_NAME]
                if isinstance(module, str) and isinstance(name, str)
                else "?"
            )
            raise UnsafeFileError(
                f"pickle names {shown!r}; allowed: {sorted('.'.join(pair) for pair in self.names)}"
            )
        self.stack.append(Name(self.names[module, name]))

    def reduce(self) -> None:
        arguments, callee = self.stack.pop(), self.stack.pop()
        if isinstance(callee, Inert) and type(arguments) is tuple:
            self.stack.append(Inert(callee.kind, keep=False))
            return
        if not isinstance(callee, Name) or type(arguments) is not tuple:
            raise UnsafeFileError(
                f"pickle calls a {type(callee).__name__}; only stand-ins can be called"
            )
        made = callee.stand_in.call(arguments)
        if isinstance(made, PendingDict):
            self._spend(len(made.items), self.limits.nodes, "values")
        elif type(made) is bytes:
            self._spend(len(made), self.limits.decoded_bytes, "bytes")
        self.stack.append(made)

    def _spend(self, count: int, allowed: int, what: str) -> None:
        # A call or a state can copy what the memo names, over and over, in a few bytes each time.
        self.copied[what] += count
        if self.copied[what] > allowed:
            raise UnsafeFileError(f"pickle copies more than {allowed} {what}")

    def persistent_id(self) -> None:
        if self.persistent is None:
            raise UnsafeFileError("pickle opcode BINPERSID is not allowed")
        self.stack.append(self.persistent(self.stack.pop()))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Pending):
            raise UnsafeFileError(
                f"pickle sets the state of a {type(target).__name__}; only stand-ins have one"
            )
        if type(state) is dict:
            self._spend(len(state), self.limits.nodes, "values")
        target.build(state)

    def append(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], Inert):
            return
        if type(self.stack[-1]) is not list:
            raise UnsafeFileError(
                f"pickle appends to a {type(self.stack[-1]).__name__}; allowed: list"
            )
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            return
        if isinstance(target, PendingDict):
            target = target.items
        if type(target) is not dict or len(items) % 2:
            raise UnsafeFileError(
                f"pickle sets items of a {type(target).__name__}; allowed: dict, in pairs"
            )
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Scalars only: hashing a tuple that shares its parts can take exponential time.
            if type(key) not in (str, int, bytes):
                raise UnsafeFileError(
                    f"pickle has a dict key of type {type(key).__name__}; allowed: str, int, bytes"
                )
            if type(key) is int and abs(key) > _MAX_KEY:
                raise UnsafeFileError(f"pickle has a dict key of {key.bit_length()} bits")
            target[key] = value


_Handler = Callable[[_Machine, Any], object]


def _push(m: _Machine, value: Any) -> None:
    m.stack.append(value)


def _protocol(_: _Machine, version: int) -> None:
    if not 2 <= version <= 5:
        raise UnsafeFileError(f"pickle protocol {version}; allowed: 2 to 5")


def _stack_global(m: _Machine, _: None) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.name(module, name)


_VALUES = [
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "SHORT_BINBYTES",
    "BINBYTES",
    "BINBYTES8",
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
]
_HANDLERS: Mapping[str, _Handler] = {
    **dict.fromkeys(_VALUES, _push),
    "PROTO": _protocol,
    "FRAME": lambda m, _: None,
    "NONE": lambda m, _: _push(m, None),
    "NEWTRUE": lambda m, _: _push(m, True),
    "NEWFALSE": lambda m, _: _push(m, False),
    "EMPTY_DICT": lambda m, _: _push(m, {}),
    "EMPTY_LIST": lambda m, _: _push(m, []),
    "EMPTY_TUPLE": lambda m, _: _push(m, ()),
    "TUPLE1": lambda m, _: m.push_tuple(1),
    "TUPLE2": lambda m, _: m.push_tuple(2),
    "TUPLE3": lambda m, _: m.push_tuple(3),
    "TUPLE": lambda m, _: _push(m, tuple(m.pop_mark())),
    "MARK": lambda m, _: m.mark(),
    "APPEND": lambda m, _: m.append([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append(m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "BINPUT": lambda m, index: m.put(index),
    "LONG_BINPUT": lambda m, index: m.put(index),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "BINGET": lambda m, index: _push(m, m.memo[index]),
    "LONG_BINGET": lambda m, index: _push(m, m.memo[index]),
    "GLOBAL": lambda m, pair: m.name(*pair),
    "STACK_GLOBAL": _stack_global,
    # A set only ever lists names here: a list does as well, and hashes nothing.
    "EMPTY_SET": lambda m, _: _push(m, []),
    "ADDITEMS": lambda m, _: m.append(m.pop_mark()),
    "BINPERSID": lambda m, _: m.persistent_id(),
    "REDUCE": lambda m, _: m.reduce(),
    "NEWOBJ": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
    "POP": lambda m, _: m.stack.pop(),
}


@dataclass
class _Finisher:
    """Copies the result into an unshared tree of plain values, within the budgets.

    Sharing through the memo can make a small file stand for an exponentially large tree, and lists
    can contain themselves; counting while copying stops both. Modules that others share are listed
    by torch under each of them: the same array may be mentioned `MENTIONS` times as often as all
    bytes are allowed.
    """

    limits: Limits
    nodes: int = 0
    decoded: int = 0
    mentioned: int = 0
    seen: set[tuple[Any, ...]] = field(default_factory=set)

    def finish(self, value: Any, depth: int) -> Any:
        self._spend(value, depth)
        if isinstance(value, Pending):
            return self._result(value, depth)
        if type(value) is dict:
            return {key: self.finish(item, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.finish(item, depth + 1) for item in value)
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if isinstance(value, Name) and isinstance(value.stand_in, InertStandIn):
            return None  # such as a number type, torch.float32
        raise UnsafeFileError(f"pickle leaves a {type(value).__name__} in its result")

    def _result(self, value: Pending, depth: int) -> Any:
        result = value.result()
        if not isinstance(result, np.ndarray):
            return self.finish(result, depth + 1)
        place = (result.ctypes.data, result.shape, result.strides, result.dtype.str)
        if place in self.seen:
            self.mentioned += result.nbytes
        else:
            self.decoded += result.nbytes
            self.seen.add(place)
        self._check()
        return result

    def _spend(self, value: Any, depth: int) -> None:
        self.nodes += 1
        if type(value) in (str, bytes):
            self.decoded += len(value)
        if depth > self.limits.depth:
            raise UnsafeFileError(f"pickle nested deeper than {self.limits.depth}")
        if self.nodes > self.limits.nodes:
            raise UnsafeFileError(f"pickle expands to more than {self.limits.nodes} values")
        self._check()

    def _check(self) -> None:
        allowed = self.limits.decoded_bytes
        if self.decoded > allowed or self.mentioned > MENTIONS * allowed:
            raise UnsafeFileError(f"pickle expands to more than {allowed} bytes")
