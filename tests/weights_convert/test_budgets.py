"""Opcodes that no checkpoint needs, and small files that ask for much time or memory."""

from __future__ import annotations

import pickletools
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from tests import torchlike as torch
from weights_convert import UnsafeFileError
from weights_convert.readers import torch_files
from weights_convert.readers.pickles import Limits, read_pickle
from weights_convert.sources import containers

ONE = {"x": np.arange(4, dtype=np.float32)}

ALLOWED = """
PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINBYTES
BINBYTES BINBYTES8 SHORT_BINUNICODE BINUNICODE BINUNICODE8 EMPTY_DICT EMPTY_LIST EMPTY_TUPLE
EMPTY_SET TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS ADDITEMS SETITEM SETITEMS BINPUT LONG_BINPUT
MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE NEWOBJ BUILD POP
"""
OTHERS = [opcode for opcode in pickletools.opcodes if opcode.name not in ALLOWED.split()]


def test_the_other_opcodes_are_most_of_the_dangerous_ones() -> None:
    names = {opcode.name for opcode in OTHERS}
    assert {"EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ_EX", "PERSID", "BINPERSID"} <= names
    assert len(OTHERS) == len(pickletools.opcodes) - len(ALLOWED.split())


@pytest.mark.parametrize("opcode", OTHERS, ids=lambda opcode: opcode.name)
def test_opcode_that_is_not_needed(opcode: pickletools.OpcodeInfo) -> None:
    with pytest.raises(UnsafeFileError, match=f"opcode {opcode.name} is not allowed"):
        read_pickle(b"\x80\x02N" + opcode.code.encode("latin-1") + b"1\n1\n1\n.")


# --- small files that ask for much ----------------------------------------------------------------

MANY = 2_000


def text(data: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(data)) + data


def repeated(first: bytes, second: bytes, call: bytes, count: int = MANY) -> bytes:
    """A list of an empty dict and `count` results of `call` on two values in the memo, 0 and 1.

    They get there as the state of the dict, which is dropped.
    """
    state = b"}(K\x00" + first + b"q\x00K\x01" + second + b"q\x01ub"
    return b"\x80\x03](ccollections\nOrderedDict\n)R" + state + call * count + b"e."


def pairs(count: int) -> bytes:
    return b"](" + b"".join(b"](" + text(b"%d" % i) + b"K\x01e" for i in range(count)) + b"e"


def attributes(count: int) -> bytes:
    return b"}(" + b"".join(text(b"%d" % i) + b"K\x01" for i in range(count)) + b"u"


def swapped_arrays() -> bytes:
    big = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R(K\x03X\x01\x00\x00\x00>NNN"
    big += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    call = start + b"(K\x01J" + struct.pack("<i", 2**16) + b"\x85h\x00\x89h\x01tb"
    return repeated(big, torch.bytes_value(bytes(2**18)), call)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "text encoded again and again": (
        lambda: repeated(
            b"c_codecs\nencode\n", text(b"a" * 2**18), b"h\x00h\x01X\6\0\0\0latin1\x86R"
        ),
        "copies more than .* bytes",
    ),
    "pairs made a dict again and again": (
        lambda: repeated(b"ccollections\nOrderedDict\n", pairs(5_000), b"h\x00h\x01\x85R"),
        "copies more than 250000 values",
    ),
    "attributes set again and again": (
        lambda: repeated(
            b"cdnnlib.tflib.network\nNetwork\n", attributes(5_000), b"h\x00)\x81h\x01b"
        ),
        "copies more than 250000 values",
    ),
    "bytes swapped again and again": (swapped_arrays, "expands to more than .* bytes"),
    "keys of one hash": (
        lambda: (
            b"\x80\x02}("
            + b"".join(
                b"\x8a\x0b" + (i * (2**61 - 1)).to_bytes(11, "little") + b"K\x01"
                for i in range(20_000)
            )
            + b"u."
        ),
        "dict key of 61 bits",
    ),
    "one number a million times": (
        lambda: torch.zip_file(torch.tensor(ONE["x"], "0", sizes=(2**30,), strides=(0,)), ONE),
        "expands to more",
    ),
    "length beyond the file": (
        lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"a.",
        "malformed",
    ),
    "memo index of four gigabytes": (lambda: b"\x80\x02Nr\xff\xff\xff\xff0.", "unfinished stack"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_small_file_that_asks_for_much(bomb: str) -> None:
    make, told = BOMBS[bomb]
    data = make()
    assert len(data) < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeFileError, match=told):
            containers.parse(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**26


def test_tensors_of_one_storage_share_what_is_widened() -> None:
    halves = np.full(8, 0x3F80, "<u2")
    body = b"](" + torch.tensor(halves, "0", kind="BFloat16") * 2 + b"e"
    first, second = containers.parse(torch.zip_file(body, {"": halves})).tree
    assert first.tolist() == [1.0] * 8
    assert np.shares_memory(first, second)


def test_bytes_and_values_that_calls_make_have_budgets_of_their_own() -> None:
    body = repeated(b"c_codecs\nencode\n", text(b"a" * 60), b"h\x00h\x01X\6\0\0\0latin1\x86R", 3)
    body = body[:-2] + b"ccollections\nOrderedDict\n" + pairs(9) + b"\x85Re."

    def read(nodes: int, size: int) -> object:
        limits = Limits(nodes=nodes, decoded_bytes=size)
        return read_pickle(body, names=torch_files.NAMES, limits=limits)

    made = [b"a" * 60] * 3
    assert read(100, 600) == [{}, *made, {str(i): 1 for i in range(9)}]
    with pytest.raises(UnsafeFileError, match="copies more than 100 bytes"):
        read(100, 100)
    with pytest.raises(UnsafeFileError, match="copies more than 8 values"):
        read(8, 600)
