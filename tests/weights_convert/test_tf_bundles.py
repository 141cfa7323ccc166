"""TensorFlow's checkpoint bundles: read exactly, or refused with one error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import fuzz
from tests.tfbundles import (
    KINDS,
    MAGIC,
    ONE_FILE,
    block,
    bundle,
    checksum,
    entry,
    field,
    header,
    index_of,
    sealed,
    table,
    whole,
    write,
)
from tests.weights import SHARED
from weights_convert import UnsafeFileError
from weights_convert.readers import tf_bundles
from weights_convert.readers.checksums import crc32c
from weights_convert.readers.pickles import USUAL, Limits
from weights_convert.sources import containers

ANIME = SHARED / "data" / "weights" / "animeface64_dcgan_discriminator.tfckpt.index"
NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)


def many() -> dict[str, np.ndarray]:
    """More names than one block holds, every type of number, no numbers, no axes."""
    draws = np.random.default_rng(0)
    kinds = tuple(KINDS)
    found = {}
    for index in range(100):
        values = 100 * draws.standard_normal((index % 3, 2, 1 + index % 4)[: index % 4])
        found[f"layer/{index}/kernel"] = np.abs(np.asarray(values)).astype(
            kinds[index % len(kinds)]
        )
    return found


def parse(index: bytes, data: bytes = NUMBERS.tobytes(), limits: Limits = USUAL) -> dict:
    return containers.parse(index, beside={ONE_FILE: data}.__getitem__, limits=limits).tree


def one(value: bytes | None = None, name: bytes = b"w") -> bytes:
    """The index of one array."""
    own = entry(1, NUMBERS.shape, 0, NUMBERS.tobytes()) if value is None else value
    return index_of({b"": header(), name: own})


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("per_block", [1, 7, 200])
def test_arrays_are_those_that_were_written(tmp_path: Path, shards: int, per_block: int) -> None:
    arrays = many()
    texts = {"_CHECKPOINTABLE_OBJECT_GRAPH": b"\x0a\x00", "layer/5/name": b"text"}
    path = write(
        tmp_path, "m.ckpt-5", bundle({**arrays, **texts}, shards=shards, per_block=per_block)
    )
    found = containers.read_checkpoint(path)
    assert found.container == "TensorFlow bundle"
    assert list(found.tree) == sorted(arrays)
    for name, array in arrays.items():
        assert (found.tree[name].dtype, found.tree[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found.tree[name], array)


def test_brain_floats_are_widened() -> None:
    bits = np.array([0x0000, 0x3F80, 0xC000], "<u2").tobytes()
    found = parse(one(entry(14, (3,), 0, bits)), bits)["w"]
    assert (found.dtype, found.tolist()) == (np.float32, [0.0, 1.0, -2.0])


def test_the_files_beside_an_index_and_no_others_are_opened(tmp_path: Path) -> None:
    texts = write(tmp_path, "texts", {".index": bundle({"a": b"text"})[".index"]})
    assert containers.read_checkpoint(texts).tree == {}, "no data file is needed"
    path = write(tmp_path, "m", bundle({"w": NUMBERS}))
    (tmp_path / f"m{ONE_FILE}").rename(tmp_path / f"n{ONE_FILE}")
    with pytest.raises(UnsafeFileError, match=r"m\.index needs the file m\.data-00000-of-00001"):
        containers.read_checkpoint(path)
    (tmp_path / f"m{ONE_FILE}").mkdir()
    with pytest.raises(UnsafeFileError, match="needs the file"):
        containers.read_checkpoint(path)


def test_an_index_of_another_name_has_nothing_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, "m", bundle({"w": NUMBERS})).rename(tmp_path / "m.pt")
    with pytest.raises(
        UnsafeFileError, match=r"m\.pt: the index of a bundle; allowed: a name NAME"
    ):
        containers.read_checkpoint(path)
    with pytest.raises(UnsafeFileError, match=r"bundle without its file \.data-00000-of-00001"):
        containers.parse(path.read_bytes())


def test_a_large_data_file_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, "m", bundle({"w": np.zeros(5000, np.float32)}))
    with pytest.raises(UnsafeFileError, match=r"m\.data.* of 20000 bytes; allowed: 10000"):
        containers.read_checkpoint(path, limits=Limits(file_bytes=10_000))


@pytest.mark.parametrize("size", [0, 1, 9, 2047, 2048, 2049, 6000, 100_003])
def test_checksums_are_those_of_one_byte_after_the_other(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == checksum(data)


def test_checksums_are_those_of_the_standard() -> None:
    # RFC 3720, B.4, and the usual check of the nine digits.
    rising, falling = bytes(range(32)), bytes(range(31, -1, -1))
    texts = (bytes(32), b"\xff" * 32, rising, falling, b"123456789")
    expected = [0x8A9136AA, 0x62A8AB43, 0x46DD794E, 0x113FDB5C, 0xE3069283]
    assert [crc32c(text) for text in texts] == [checksum(text) for text in texts] == expected


def test_a_discriminator_that_keras_saved() -> None:
    if not ANIME.is_file():
        pytest.skip(f"needs {ANIME.name} of shared/data/weights (set JAXINV_SHARED)")
    tree = containers.read_checkpoint(ANIME).tree  # its checksums are TensorFlow's own
    shapes = {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): a.shape for name, a in tree.items()}
    kernels = [shapes.pop(f"layer_with_weights-{n}/kernel") for n in range(9)]
    assert kernels == [
        (5, 5, 3, 64),
        *[(5, 5, 64, 64)] * 3,
        *[(3, 3, 64, 64)] * 3,
        (256, 512),
        (512, 1),
    ]
    assert shapes == {f"layer_with_weights-{n}/bias": k[-1:] for n, k in enumerate(kernels)}
    assert all(0.03 < array.std() < 0.2 for array in tree.values() if array.size > 1)


# --- what is refused ------------------------------------------------------------------------------


def changed(**changes: object) -> Callable[[], bytes]:
    return lambda: one(entry(1, NUMBERS.shape, 0, NUMBERS.tobytes(), **changes))


def shaped(shape: tuple[int, ...], kind: int = 1, size: int = 24) -> Callable[[], bytes]:
    return lambda: one(entry(kind, shape, 0, NUMBERS.tobytes()[:size]))


def headed(value: bytes) -> Callable[[], bytes]:
    return lambda: index_of({b"": value, b"w": entry(1, (2, 3), 0, NUMBERS.tobytes())})


def blocked(body: bytes) -> Callable[[], bytes]:
    return lambda: table([(b"w", sealed(body + bytes(4) + (1).to_bytes(4, "little")))])


def pointing(place: bytes) -> Callable[[], bytes]:
    """A table whose top stands at `place`."""
    return lambda: (whole(0) + whole(0) + place).ljust(40, b"\0") + MAGIC


def rows(*names: bytes) -> bytes:
    value = entry(1, (2, 3), 0, NUMBERS.tobytes())
    return block([(name, value if name else header()) for name in names])


def flipped(place: int) -> bytes:
    data = bytearray(one())
    data[place] ^= 1
    return bytes(data)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no header": (lambda: index_of({b"w": entry(1, (), 0, bytes(4))}), "first name is b'w'"),
    "nothing at all": (lambda: table([]), "first name is None"),
    "magic alone": (lambda: MAGIC, "the index has no end"),
    "big-endian": (headed(header(order=1)), "byte order 1"),
    "newer version": (headed(header(oldest=2)), "for readers of version 2"),
    "no data files": (headed(header(count=0)), "0 data files"),
    "many data files": (headed(header(count=257)), "257 data files of .* allowed: 1 to 256"),
    "two headers in one": (headed(header() + header()), "stands 2 times; allowed: once"),
    "a block outside": (pointing(whole(10**6) + whole(50)), "a block of 50 bytes at 1000000"),
    "a block without restarts": (pointing(whole(0) + whole(3)), "a block of 3 bytes"),
    "a huge block": (pointing(whole(0) + whole(2**63)), "a block of 9223372036854775808 bytes"),
    "compressed": (lambda: table([(b"w", block([(b"", b"")], kind=1))]), "compressed in way 1"),
    "block of another checksum": (lambda: flipped(2), "another checksum"),
    "data of another checksum": (changed(checksum=bytes(4)), "24 bytes of another checksum"),
    "two of one name": (lambda: table([(b"w", rows(b"", b"w", b"w"))]), "rising ones"),
    "names that fall": (lambda: table([(b"w", rows(b"", b"w", b"v"))]), "rising ones"),
    "one block twice": (
        lambda: table([(b"w", rows(b"", b"w")), (b"x", rows(b"", b"w"))]),
        "b'' after b'w'; allowed: rising",
    ),
    "a name that shares too much": (blocked(b"\x01\x01\x00w"), "a name of 1 and 1 bytes"),
    "a name beyond the block": (blocked(b"\x00\x7f\x00w"), "a name of 0 and 127 bytes"),
    "a value beyond the block": (blocked(b"\x00\x01\x7fw"), "a name of 0 and 1 bytes"),
    "a long name": (lambda: one(name=b"w" * 1025), "up to 1024"),
    "a name of no text": (lambda: one(name=b"\xff"), "allowed: UTF-8"),
    "a name of a slice": (lambda: one(name=b"\0v\0\1\1"), "is a slice; allowed: arrays in one"),
    "a number without an end": (blocked(b"\xff" * 20), "does not end"),
    "a number cut off": (blocked(b"\x80"), "does not end"),
    "a number of 70 bits": (blocked(b"\xff" * 9 + b"\x7f"), "allowed: below 2"),
    "unknown field": (changed(more=field(9, 1)), "'w' has field 9 of kind 0"),
    "field of another kind": (changed(more=field(4, b"")), "'w' has field 4 of kind 2"),
    "field twice": (changed(more=field(1, 1)), "field 1 stands 2 times"),
    "a field cut off": (lambda: one(whole(2 << 3 | 2) + b"\x09"), "'w' has 9 bytes"),
    "checksum cut off": (lambda: one(whole(6 << 3 | 5) + b"\0\0"), "'w' has 4 bytes"),
    "in slices": (changed(more=field(7, b"")), "'w' is in 1 slices; allowed: in one piece"),
    "unknown rank": (
        lambda: one(field(1, 1) + field(2, field(3, 1))),
        "0 axes, or an unknown number",
    ),
    "many axes": (shaped((1,) * 17), "17 axes"),
    "more axes than numpy": (shaped((0, 2**63, 2), size=0), "has the shape"),
    "negative size": (shaped((2**64 - 6,)), "24 bytes for shape"),
    "huge size": (shaped((2**62, 2**62)), "24 bytes for shape"),
    "complex numbers": (shaped((3,), kind=8), "'w' holds type 8; allowed: 1, 2, 3"),
    "no type": (shaped((6,), kind=0), "'w' holds type 0"),
    "other bytes than the shape": (shaped((2, 2)), r"24 bytes for shape \(2, 2\)"),
    "data outside": (
        lambda: one(entry(1, (2, 3), 1, NUMBERS.tobytes())),
        "24 bytes at 1; allowed: below 24",
    ),
    "far outside": (lambda: one(entry(1, (2, 3), 2**63, NUMBERS.tobytes())), "at 92233"),
    "another data file": (changed(shard=1), "data file 1; allowed: below 1"),
    "shared data": (
        lambda: table([(b"x", rows(b"", b"w", b"x"))]),
        "'x' has 24 bytes at 0; allowed: below 24, and none twice",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_tensorflow_does_not_write_is_refused(case: str) -> None:
    make, told = REFUSED[case]
    np.testing.assert_array_equal(parse(one())["w"], NUMBERS)
    with pytest.raises(UnsafeFileError, match=told):
        parse(make())


def test_budgets() -> None:
    files = bundle(many())
    with pytest.raises(UnsafeFileError, match="more than 50 names"):
        parse(files[".index"], files[ONE_FILE], Limits(nodes=50))
    with pytest.raises(UnsafeFileError, match="larger than is allowed"):
        parse(files[".index"], files[ONE_FILE], Limits(file_bytes=50))


def test_short_indices_cannot_hold_very_many_bytes_of_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tf_bundles, "_NAMES_BYTES", 100_000)

    def index(count: int) -> bytes:
        # Names of 1000 bytes that share all but the last three with the one before.
        names = [b"n" * 997 + f"{number:03}".encode() for number in range(count)]
        items = [(b"", header()), *((name, field(1, 7)) for name in names)]
        return table([(names[-1], block(items, restart=count + 1))])

    assert parse(index(90)) == {}
    assert len(index(110)) < 4_000
    with pytest.raises(UnsafeFileError, match="than 100000 bytes of them"):
        parse(index(110))


def test_every_truncation_is_refused() -> None:
    index = fuzz.seeds()["TensorFlow bundle"]
    assert set(parse(index, fuzz.DATA)) == set(fuzz.ARRAYS)
    for length in range(len(index)):
        with pytest.raises(UnsafeFileError):
            parse(index[:length], fuzz.DATA)
    for length in range(len(index) - len(MAGIC)):
        with pytest.raises(UnsafeFileError):
            parse(index[:length] + MAGIC, fuzz.DATA)
    for length in range(len(fuzz.DATA)):
        with pytest.raises(UnsafeFileError, match="bytes"):
            parse(index, fuzz.DATA[:length])


def test_every_bit_that_is_read_counts() -> None:
    index = one()
    silent = 0
    for place in range(8 * len(index)):
        data = bytearray(index)
        data[place // 8] ^= 1 << place % 8
        try:
            found = parse(bytes(data))
        except UnsafeFileError:
            continue
        silent += 1
        np.testing.assert_array_equal(found["w"], NUMBERS)
    # The block about nothing, where it is, and the padding of the end.
    assert silent < 8 * (13 + 40)
