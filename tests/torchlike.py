"""Writers of torch's two file layouts and of NVlabs' pickles, opcode by opcode, without torch."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

KINDS = {
    "<f4": "Float",
    "<f8": "Double",
    "<f2": "Half",
    "<i8": "Long",
    "|u1": "Byte",
    "|b1": "Bool",
}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"int": 4}}


def value(plain: Any) -> bytes:
    """Opcodes that push a plain value."""
    return pickle.dumps(plain, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def finished(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def storage(array: np.ndarray, key: str, *, kind: str | None = None, count: Any = None) -> bytes:
    """Opcodes of a reference to the storage of `array`."""
    kind = kind or KINDS[array.dtype.str]
    count = array.size if count is None else count
    body = value("storage") + name("torch", f"{kind}Storage")
    return b"(" + body + value(key) + value("cpu") + value(count) + b"tQ"


def tensor(array: np.ndarray, key: str, **changes: Any) -> bytes:
    """Opcodes of a tensor; `changes`: kind, count, offset, sizes, strides."""
    steps = tuple(step // array.itemsize for step in array.strides)
    body = storage(array, key, kind=changes.get("kind"), count=changes.get("count"))
    for field, usual in (("offset", 0), ("sizes", array.shape), ("strides", steps)):
        body += value(changes.get(field, usual))
    body += value(False) + name("collections", "OrderedDict") + b")R"
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + body + b"tR"


def state_dict(arrays: Mapping[str, np.ndarray], **changes: Any) -> bytes:
    """Opcodes of an OrderedDict of tensors with its `_metadata`, as `state_dict()` leaves it."""
    items = b"".join(
        value(label) + tensor(array, str(index), **changes)
        for index, (label, array) in enumerate(arrays.items())
    )
    return (
        name("collections", "OrderedDict") + b")R(" + items + b"u" + value({"_metadata": 1}) + b"b"
    )


def raw(array: np.ndarray) -> bytes:
    """The storage's bytes, in the order in which they lie in memory."""
    return array.ravel(order="K").tobytes()


def zip_file(body: bytes, arrays: Mapping[str, np.ndarray], **options: Any) -> bytes:
    """A zip checkpoint; `options`: compression, order, members (more of them)."""
    stream = io.BytesIO()
    members = {"data.pkl": finished(body), "byteorder": options.get("order", b"little")}
    members |= {f"data/{index}": raw(array) for index, array in enumerate(arrays.values())}
    with zipfile.ZipFile(stream, "w", options.get("compression", zipfile.ZIP_STORED)) as archive:
        for label, content in (members | options.get("members", {})).items():
            archive.writestr(f"archive/{label}", content)
    return stream.getvalue()


def legacy_file(body: bytes, arrays: Mapping[str, np.ndarray], **options: Any) -> bytes:
    """A legacy checkpoint; `options`: magic, system, counts (of the storages, as written)."""
    keys = [str(index) for index in range(len(arrays))]
    head = (options.get("magic", MAGIC), PROTOCOL, options.get("system", SYSTEM))
    data = b"".join(pickle.dumps(part, 2) for part in head) + finished(body)
    data += pickle.dumps(options.get("keys", keys), 2)
    for array in arrays.values():
        data += struct.pack("<q", options.get("count", array.size)) + raw(array)
    return data


def module(kind: str, attributes: bytes) -> bytes:
    """Opcodes of a persistent object of NVlabs' torch code; `attributes` push its state."""
    facts = value("type") + value("class") + value("version") + value(6)
    facts += value("module_src") + value("raise SystemExit") + value("class_name") + value(kind)
    body = b"}(" + facts + value("state") + attributes + b"u"
    return name("torch_utils.persistence", "_reconstruct_persistent_obj") + body + b"\x85R"


def nested_tensor(array: np.ndarray) -> bytes:
    """Opcodes of a parameter whose storage is a whole legacy file inside the pickle."""
    inner = legacy_file(storage(array, "0"), {"": array})
    loaded = name("torch.storage", "_load_from_bytes") + bytes_value(inner) + b"\x85R"
    steps = tuple(step // array.itemsize for step in array.strides)
    fields = loaded + value(0) + value(array.shape) + value(steps) + value(False)
    fields += name("collections", "OrderedDict") + b")R"
    made = name("torch._utils", "_rebuild_tensor_v2") + b"(" + fields + b"tR"
    return name("torch._utils", "_rebuild_parameter") + made + value(True) + b"N\x87R"


def bytes_value(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def network(attributes: dict[str, Any]) -> bytes:
    """Opcodes of a Network of NVlabs' TensorFlow code."""
    return name("dnnlib.tflib.network", "Network") + b")\x81" + value(attributes) + b"b"
