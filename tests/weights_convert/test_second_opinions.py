"""What other scanners of pickles say: of what we write, and of what our readers refuse.

Our promise does not rest on them (a clean report means little: NVlabs' files carry source text that
their loader executes, and are called clean); where they see harm, our readers must refuse.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import zipfile
from typing import Any

import numpy as np
import pytest

from weights_convert import UnsafeFileError
from weights_convert.sources.containers import parse
from weights_convert.writers import torch_files

pytestmark = pytest.mark.slow


class Call:
    """Is unpickled by a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


HARMFUL = {
    "system": Call(os.system, "true"),
    "exec": Call(exec, "1"),
    "eval": Call(eval, "1"),
    "open": Call(open, "/dev/null"),
    "popen": Call(subprocess.Popen, ["true"]),
    "getattr": Call(getattr, "a", "upper"),
    "within": {"state": [np.ones(3), Call(os.system, "true")]},
}


def written() -> bytes:
    """The pickle in a torch file of ours."""
    stream = io.BytesIO()
    array = np.ones((2, 3), np.float32)
    torch_files.write({"a.png": {"latent": array, "noise": [array]}}, stream)
    with zipfile.ZipFile(stream) as archive:
        return archive.read("archive/data.pkl")


def zipped(data: bytes) -> bytes:
    """A torch file with that pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


@pytest.mark.parametrize("name", HARMFUL)
def test_what_picklescan_calls_dangerous_is_refused(name: str) -> None:
    scanner = pytest.importorskip("picklescan.scanner", reason="picklescan is not installed")
    data = pickle.dumps(HARMFUL[name], 2)
    found = scanner.scan_pickle_bytes(io.BytesIO(data), "a.pkl")
    assert any(one.safety.value != "innocuous" for one in found.globals)
    for file in (data, zipped(data)):
        with pytest.raises(UnsafeFileError):
            parse(file)


@pytest.mark.parametrize("name", HARMFUL)
def test_what_fickling_calls_unsafe_is_refused(name: str) -> None:
    analysis = pytest.importorskip("fickling.analysis", reason="fickling is not installed")
    fickle = pytest.importorskip("fickling.fickle")
    data = pickle.dumps(HARMFUL[name], 2)
    found = analysis.check_safety(fickle.Pickled.load(data))
    assert found.severity > analysis.Severity.LIKELY_SAFE
    with pytest.raises(UnsafeFileError):
        parse(data)


def test_picklescan_finds_no_issue_in_what_we_write() -> None:
    scanner = pytest.importorskip("picklescan.scanner", reason="picklescan is not installed")
    found = scanner.scan_pickle_bytes(io.BytesIO(written()), "a.pkl")
    assert (found.issues_count, found.scan_err) == (0, False)


def test_fickling_finds_no_call_but_those_of_tensors_in_what_we_write() -> None:
    fickle = pytest.importorskip("fickling.fickle", reason="fickling is not installed")
    found = fickle.Pickled.load(written())
    names = {f"{one.module} {name.name}" for one in found.properties.imports for name in one.names}
    assert names <= {
        "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage",
    }  # fmt: skip
