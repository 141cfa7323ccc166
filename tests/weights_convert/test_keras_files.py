"""HDF5 files of Keras: read as h5py reads them, or refused with one error."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests import fuzz
from tests.kerasfiles import keras_file
from weights_convert import UnsafeFileError
from weights_convert.readers.pickles import USUAL, Limits
from weights_convert.sources import containers

TYPES = ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "u4", "u8")


def written(fill: Callable[[h5py.File], object], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def read(data: bytes, limits: Limits = USUAL) -> Any:
    return containers.parse(data, limits=limits).tree


def many(file: h5py.File) -> None:
    """More members than one node holds, every type of number, deep and empty groups, no numbers."""
    draws = np.random.default_rng(0)
    for index in range(70):
        values = 100 * draws.standard_normal((index % 3, 2, 1 + index % 4)[: index % 4])
        file[f"a/b/{index}"] = np.asarray(values, TYPES[index % len(TYPES)])
    file.create_group("empty/inside")
    file.attrs["text"] = "not read"
    file.attrs["numbers"] = np.arange(1000)


def test_arrays_are_those_that_the_library_reads() -> None:
    data = written(many)
    found = read(data)
    assert found["model_config"] is None
    assert found["weights"]["empty"] == {"inside": {}}
    with h5py.File(io.BytesIO(data)) as file:
        theirs: dict[str, Any] = {f"{index}": file[f"a/b/{index}"] for index in range(70)}
        assert set(found["weights"]["a"]["b"]) == set(theirs)
        for name, array in found["weights"]["a"]["b"].items():
            expected = theirs[name][()]
            assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(array, expected)


def test_small_arrays_may_be_stored_in_the_header() -> None:
    def fill(file: h5py.File) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        made = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, plan)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.asarray([1, 2, 3], "f4"))

    assert read(written(fill))["weights"]["x"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("size", [10, 3_000, 60_000])
@pytest.mark.parametrize("fixed", [True, False])
def test_the_configuration_is_plain_data(size: int, fixed: bool) -> None:
    config = {"layers": ["é" * size, {"a": [None, True, 1.5]}]}
    text = json.dumps(config, ensure_ascii=size == 10).encode()
    value = np.bytes_(text) if fixed else text.decode()
    if fixed and size == 60_000:  # a header has no room for it
        with pytest.raises(OSError, match="too large"):
            written(lambda file: file.attrs.__setitem__("model_config", value))
        return
    data = written(lambda file: file.attrs.__setitem__("model_config", value))
    assert read(data) == {"weights": {}, "model_config": config}


def test_the_container_is_told_from_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(keras_file([], {}))
    assert containers.read_checkpoint(path).container == "HDF5"


def configured(value: Any) -> Callable[[h5py.File], object]:
    return lambda file: file.attrs.__setitem__("model_config", value)


def stored(**options: Any) -> Callable[[h5py.File], object]:
    return lambda file: file.create_dataset("x", data=np.ones((8, 8), "f4"), **options)


def linked(link: Any) -> Callable[[h5py.File], object]:
    return lambda file: file.__setitem__("x", link)


def typed(array: Any, **options: Any) -> Callable[[h5py.File], object]:
    return lambda file: file.create_dataset("x", data=array, **options)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def external(file: h5py.File) -> None:
    file.create_dataset("x", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def circular(file: h5py.File) -> None:
    file.create_group("a")["b"] = file["/"]


def twice(file: h5py.File) -> None:
    file["x"] = np.ones(3, "f4")
    file["y"] = file["x"]


def named_type(file: h5py.File) -> None:
    file["t"] = np.dtype("f4")
    file.create_dataset("x", (3,), dtype=file["t"])


def nested(file: h5py.File) -> None:
    file.create_group("/".join("g" * 70))


REFUSED: dict[str, tuple[Callable[[h5py.File], object], dict[str, Any], str]] = {
    "compressed": (stored(compression="gzip"), {}, "compressed data"),
    "in chunks": (stored(chunks=(4, 4)), {}, r"layout 3, 2; allowed: in one piece"),
    "soft link": (linked(h5py.SoftLink("/y")), {}, "soft link"),
    "link to a file": (linked(h5py.ExternalLink("other.h5", "/x")), {}, "newer layout|soft link"),
    "data in a file": (external, {}, "data in other files"),
    "virtual": (virtual, {}, "layout 4"),
    "circle": (circular, {}, "met twice"),
    "two names": (twice, {}, "met twice"),
    "named type": (named_type, {}, "shared part|messages 0x"),
    "texts": (typed(["a", "b"]), {}, "numbers of type 1901"),
    "references": (typed(np.empty(2, h5py.ref_dtype)), {}, "numbers of type"),
    "truths": (typed([True]), {}, "numbers of type"),
    "complex numbers": (typed([1j]), {}, "numbers of type"),
    "other byte order": (typed(np.ones(2, ">f4")), {}, "numbers of type"),
    "no space": (typed(h5py.Empty("f4")), {}, "sizes of kind 2, 2"),
    "deep": (nested, {}, "nested deeper than 64"),
    "newer": (many, {"libver": "latest"}, "newer layout; allowed: the first"),
    "ordered": (many, {"track_order": True}, "newer layout; allowed: the first"),
    "something before": (many, {"userblock_size": 512}, "unknown kind"),
    "no JSON": (configured("{'a': 1}"), {}, "not JSON"),
    "no text": (configured(3.5), {}, "model_config of type"),
    "nested JSON": (configured("[" * 100 + "]" * 100), {}, "nested deeper than 64"),
    "very nested JSON": (configured("[" * 30_000 + "]" * 30_000), {}, "HDF5|nested"),
    "much JSON": (configured(" " * (2**20 + 1)), {}, "1048577 bytes; allowed: 1048576"),
    "not UTF-8": (configured(np.bytes_(b'"\xff"')), {}, "not JSON|utf-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_keras_does_not_write_is_refused(case: str) -> None:
    fill, options, told = REFUSED[case]
    with pytest.raises(UnsafeFileError, match=told):
        read(written(fill, **options))


def test_budgets() -> None:
    data = written(many)
    for limits, told in (
        (Limits(nodes=50), "more parts than 50"),
        (Limits(decoded_bytes=200), "expand to more than 200"),
        (Limits(depth=1), "nested deeper than 1"),
    ):
        with pytest.raises(UnsafeFileError, match=told):
            read(data, limits)


def test_an_array_cannot_be_larger_than_its_bytes() -> None:
    data = written(lambda file: file.create_dataset("x", data=np.arange(77, dtype="f4")))
    sizes = (77).to_bytes(8, "little")
    assert data.count(sizes) == 2, "the size and the largest size"
    for size in (76, 78, 2**20, 2**62):
        with pytest.raises(UnsafeFileError, match=r"bytes of an array|expand to more"):
            read(data.replace(sizes, size.to_bytes(8, "little")))


def test_every_truncation_is_refused() -> None:
    whole = fuzz.seeds()["HDF5"]
    assert read(whole)["model_config"] is not None
    for length in range(len(whole)):
        with pytest.raises(UnsafeFileError):
            read(whole[:length])
