from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import edit, is_plain, watched
from weights_convert import UnsafeFileError
from weights_convert.readers.pickles import Limits, read_pickle

TREE = {
    "conv": {"kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "bias": np.zeros(4)},
    "list": [1, -2, 3.5, None, True, False, 2**40, b"bytes", "text"],
    "tuple": (("a",), (), (1, 2), (1, 2, 3, 4)),
    7: {"column": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3))},
    "big": np.arange(3, dtype=">i4"),
    "flags": np.array([True, False]),
    "half": np.ones((0, 2), np.float16),
}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", [3, 4])
def test_plain_data_and_arrays_come_back_as_they_were(protocol: int) -> None:
    found = read_pickle(pickle.dumps(TREE, protocol))
    assert same(TREE, found)
    assert found["big"].dtype == np.dtype("=i4")


def test_values_without_arrays_are_read_in_every_binary_protocol() -> None:
    value = {"a": [1, (2.5, "b")]}
    assert all(read_pickle(pickle.dumps(value, protocol)) == value for protocol in (2, 3, 4, 5))


def test_shared_parts_come_back_unshared() -> None:
    part = [1]
    found = read_pickle(pickle.dumps([part, part]))
    assert found == [[1], [1]]
    assert found[0] is not found[1]


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def array(dtype: bytes, shape: bytes, raw: bytes) -> bytes:
    """A protocol-2 array whose dtype, shape and bytes are spliced in as opcodes."""
    start = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return start + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb."


F4 = (
    b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNN"
    b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
EIGHT = b"C\x08" + b"\0" * 8
# t = (); then 60 times t = (t, t): a few hundred bytes that stand for 2**60 tuples.
LAUGHS = b"\x80\x02)" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"."

HOSTILE: Mapping[str, tuple[bytes, str]] = {
    "os.system": (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "names 'os.system'"),
    "posix.system": (b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.", "names 'posix.system'"),
    "eval": (b"\x80\x04" + short("builtins") + short("eval") + b"\x93.", "names 'builtins.eval'"),
    "getattr": (b"\x80\x04" + short("builtins") + short("getattr") + b"\x93.", "builtins.getattr"),
    "dotted name": (b"\x80\x04" + short("numpy") + short("ndarray.dump") + b"\x93.", "names"),
    "dotted module": (b"\x80\x04" + short("numpy.ndarray") + short("dump") + b"\x93.", "names"),
    "numpy.load": (b"\x80\x02cnumpy\nload\n.", "names 'numpy.load'"),
    "runstring": (b"\x80\x02cnumpy.testing._private.utils\nrunstring\n.", "names"),
    "torch storage": (b"\x80\x02ctorch.storage\n_load_from_bytes\n.", "names"),
    "endless name": (b"\x80\x02c" + b"a" * 10_000 + b"\n\n.", "without an end"),
    "name of a number": (b"\x80\x04K\x01K\x02\x93.", "names"),
    "EXT1": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "EXT2": (b"\x80\x02\x83\x01\x00.", "opcode EXT2"),
    "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", "opcode EXT4"),
    "INST": (b"(X\x02\x00\x00\x00idios\nsystem\n.", "opcode INST"),
    "OBJ": (b"\x80\x02(cnumpy\nndarray\no.", "opcode OBJ"),
    "object of an array type": (b"\x80\x02cnumpy\nndarray\n)\x81.", "calls numpy.ndarray"),
    "NEWOBJ_EX": (b"\x80\x04cnumpy\nndarray\n)}\x92.", "opcode NEWOBJ_EX"),
    "PERSID": (b"Pid\n.", "opcode PERSID"),
    "BINPERSID": (b"\x80\x02K\x01Q.", "opcode BINPERSID"),
    "NEXT_BUFFER": (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
    "text number": (b"I1\n.", "opcode INT"),
    "text string": (b"S'a'\n.", "opcode STRING"),
    "long number": (b"\x80\x02\x8b\x01\x00\x00\x00\x01.", "opcode LONG4"),
    "unknown opcode": (b"\x80\x02\xff.", "opcode 0xff"),
    "protocol 9": (b"\x80\x09N.", "protocol 9"),
    "empty": (b"", "end of the file"),
    "call of text": (b"\x80\x02X\x01\x00\x00\x00a)R.", "calls a str"),
    "call of a list's result": (b"\x80\x02]K\x01R.", "calls a list"),
    "call of ndarray": (b"\x80\x02cnumpy\nndarray\n)R.", "calls numpy.ndarray"),
    "reconstruct of dtype": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n\x85R.",
        "reconstructs something other",
    ),
    "state of a name": (b"\x80\x02cnumpy\nndarray\n}b.", "state of a Name"),
    "state of a dict": (b"\x80\x02}}b.", "state of a dict"),
    "name as result": (b"\x80\x02cnumpy\nndarray\n\x85.", "leaves a Name"),
    "unfinished array": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x85R.",
        "unfinished PendingArray",
    ),
    "dtype as result": (b"\x80\x02" + F4 + b".", "unfinished PendingDtype"),
    "objects": (array(F4.replace(b"f4", b"O8"), b"K\x02\x85", EIGHT), "array type 'O8'"),
    "structured type": (array(F4.replace(b"f4", b"V8"), b"K\x02\x85", EIGHT), "array type 'V8'"),
    "typed fields": (array(F4.replace(b"<NNN", b"<)NN"), b"K\x02\x85", EIGHT), "fields"),
    "no type": (array(b"N", b"K\x02\x85", EIGHT), "without a number type"),
    "negative sizes": (array(F4, b"J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86", EIGHT), "bad shape"),
    "sizes of text": (array(F4, b"X\x01\x00\x00\x002\x85", EIGHT), "bad shape"),
    "rank": (array(F4, b"(" + b"K\x01" * 40 + b"t", EIGHT), "bad shape"),
    "too few bytes": (array(F4, b"K\x09\x85", EIGHT), "8 bytes that its shape"),
    "overflowing sizes": (array(F4, b"(" + b"J\xff\xff\xff\x7f" * 9 + b"t", EIGHT), "8 bytes"),
    "bytes of text": (array(F4, b"K\x02\x85", b"X\x08\x00\x00\x00aaaaaaaa"), "without bytes"),
    "booleans of 7": (
        array(F4.replace(b"f4", b"b1").replace(b"<N", b"|N"), b"K\x08\x85", b"C\x08" + b"\7" * 8),
        "booleans",
    ),
    "deep lists": (b"\x80\x02" + b"]" * 5_000 + b"a" * 4_999 + b".", "nested deeper than 64"),
    "deep tuples": (b"\x80\x02)" + b"\x85" * 100_000 + b".", "nested deeper than 64"),
    "deep marks": (b"\x80\x02" + b"(" * 100_000, "nested deeper than 64"),
    "list in itself": (b"\x80\x02]q\x00h\x00a.", "nested deeper than 64"),
    "dict in itself": (b"\x80\x02}q\x00K\x01h\x00s.", "nested deeper than 64"),
    "key of tuples": (b"\x80\x02})" + b"\x85" * 9 + b"K\x01s.", "dict key of type tuple"),
    "expansion by memo": (LAUGHS, "expands to more than 250000 values"),
    "items of a list": (b"\x80\x02]K\x01K\x02s.", "sets items of a list"),
    "odd items": (b"\x80\x02}(K\x01u.", "in pairs"),
    "append to a tuple": (b"\x80\x02)K\x01a.", "appends to a tuple"),
    "huge length": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.", "malformed"),
    "missing memo": (b"\x80\x02h\x05.", "malformed"),
    "empty stack": (b"\x80\x02R.", "malformed"),
    "no mark": (b"\x80\x02K\x01t.", "malformed"),
    "bad text": (b"\x80\x04\x8c\x02\xff\xfe.", "malformed"),
    "two values": (b"\x80\x02K\x01K\x02.", "unfinished stack"),
    "open mark": (b"\x80\x02(K\x01.", "unfinished stack"),
    "trailing data": (b"\x80\x02K\x01.PK\x03\x04", "followed by other data"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused_with_a_reason(case: str) -> None:
    data, told = HOSTILE[case]
    with pytest.raises(UnsafeFileError, match=told):
        read_pickle(data)


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_text_protocols_are_refused(protocol: int) -> None:
    with pytest.raises(UnsafeFileError):
        read_pickle(pickle.dumps(TREE, protocol))


def test_every_truncation_is_refused() -> None:
    whole = pickle.dumps(TREE, 4)
    for length in range(len(whole)):
        with pytest.raises(UnsafeFileError):
            read_pickle(whole[:length])


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(file_bytes=100), "allowed: at most 100"),
        (Limits(opcodes=20), "more than 20 opcodes"),
        (Limits(memo=5), "memo of more than 5"),
        (Limits(depth=1), "nested deeper than 1"),
        (Limits(nodes=10), "more than 10 values"),
        (Limits(decoded_bytes=95), "more than 95 bytes"),
    ],
)
def test_each_budget_is_enforced(limits: Limits, told: str) -> None:
    with pytest.raises(UnsafeFileError, match=told):
        read_pickle(pickle.dumps(TREE, 4), limits=limits)


def test_an_array_counts_as_often_as_it_is_mentioned() -> None:
    shared = np.ones(1000)
    data = pickle.dumps([shared])
    repeated = pickle.dumps([shared] * 50)
    limits = Limits(decoded_bytes=10_000)
    assert len(read_pickle(data, limits=limits)) == 1
    with pytest.raises(UnsafeFileError, match="more than 10000 bytes"):
        read_pickle(repeated, limits=limits)


# --- nothing is touched ---------------------------------------------------------------------------


def test_the_hook_would_notice_the_standard_loader() -> None:
    with watched() as events:
        pickle.loads(b"\x80\x02cbuiltins\nlen\n.")
    assert "pickle.find_class" in events


def test_no_file_makes_the_reader_import_open_or_execute_anything() -> None:
    files = [pickle.dumps(TREE, protocol) for protocol in range(6)]
    files += [data for data, _ in HOSTILE.values()]
    outcomes = []
    with watched() as events:
        for data in files:
            try:
                read_pickle(data)
                outcomes.append("read")
            except UnsafeFileError:
                outcomes.append("refused")
    assert events == []
    assert outcomes.count("refused") >= len(HOSTILE)


def test_a_refused_pickle_runs_no_code_of_its_own() -> None:
    ran: list[int] = []

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return ran.append, (1,)

    with pytest.raises(UnsafeFileError):
        read_pickle(pickle.dumps({"a": Evil()}))
    assert ran == []


# --- mutations ------------------------------------------------------------------------------------

SEEDS = tuple(pickle.dumps(TREE, protocol) for protocol in (2, 3, 4, 5)) + tuple(
    data for data, _ in HOSTILE.values() if 0 < len(data) < 500
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "repeat"]),
        st.integers(0, 2**16),
        st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(seed=st.sampled_from(SEEDS), edits=EDITS)
def test_mutated_pickles_give_plain_data_or_the_one_error(
    seed: bytes, edits: list[tuple[str, int, bytes]]
) -> None:
    limits = Limits(opcodes=20_000, memo=10_000, nodes=10_000, decoded_bytes=2**20)
    with watched() as events:
        try:
            found = read_pickle(edit(seed, edits), limits=limits)
        except UnsafeFileError:
            found = None
    assert is_plain(found)
    assert events == []


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_random_bytes_give_plain_data_or_the_one_error(tail: bytes) -> None:
    try:
        found = read_pickle(b"\x80\x04" + tail)
    except UnsafeFileError:
        found = None
    assert is_plain(found)
