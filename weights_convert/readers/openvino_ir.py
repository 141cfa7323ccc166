"""Constants of an OpenVINO IR version 10 graph, read without the runtime.

A graph is a `.xml` description and a `.bin` blob. Every `<layer type="Const">` states element type,
shape, offset and size of its values in the blob (OpenVINO documentation, "Intermediate
Representation"). Only `f32` constants are read: all others in such a graph are shapes, axes and
indices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

import numpy as np

from weights_convert.errors import UnsafeFileError

MAX_XML_BYTES = 32 * 2**20
MAX_DEPTH = 32
MAX_RANK = 8


@dataclass(frozen=True)
class Constant:
    """One f32 constant: layer id and name, the types of the layers that use it, and its values."""

    id: str
    name: str
    consumers: tuple[str, ...]
    array: np.ndarray


@dataclass(frozen=True)
class Constants:
    """All f32 constants of a graph, looked up by layer name or by layer id."""

    by_name: Mapping[str, Constant]
    by_id: Mapping[str, Constant]


def read_constants(xml: bytes, blob: bytes) -> Constants:
    """Read the f32 constants of an IR version 10 graph from the bytes of its two files.

    Arrays are read-only views of `blob` in the stated shapes. Raises `UnsafeFileError` for XML that
    is broken or declares a document type or an entity, another IR version, and values outside the
    blob.
    """
    scan = _scan(xml)
    if scan.version != "10":
        raise UnsafeFileError(f"IR version {scan.version[:20]!r}; allowed: '10'")
    consumers: dict[str, list[str]] = {}
    for source, target in scan.edges:
        consumers.setdefault(source, []).append(scan.types.get(target, ""))
    by_name: dict[str, Constant] = {}
    by_id: dict[str, Constant] = {}
    for layer, data in scan.constants:
        key, name = layer.get("id", ""), layer.get("name", "")
        if name in by_name or key in by_id:
            raise UnsafeFileError(f"layer name {name[:80]!r} or id {key[:20]!r} occurs twice")
        if data.get("element_type") == "f32":
            constant = Constant(key, name, tuple(consumers.get(key, ())), _values(name, data, blob))
            by_name[name] = by_id[key] = constant
    return Constants(by_name, by_id)


@dataclass
class _Scan:
    version: str = ""
    types: dict[str, str] = field(default_factory=dict)
    constants: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    depth: int = 0
    layer: dict[str, str] = field(default_factory=dict)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnsafeFileError(f"XML nested deeper than {MAX_DEPTH}")
        if tag == "net":
            self.version = attributes.get("version", "")
        elif tag == "layer":
            self.layer = attributes
            self.types[attributes.get("id", "")] = attributes.get("type", "")
        elif tag == "data" and self.layer.get("type") == "Const":
            self.constants.append((self.layer, attributes))
        elif tag == "edge":
            self.edges.append((attributes.get("from-layer", ""), attributes.get("to-layer", "")))

    def end(self, tag: str) -> None:
        self.depth -= 1
        if tag == "layer":
            self.layer = {}


def _scan(xml: bytes) -> _Scan:
    if len(xml) > MAX_XML_BYTES:
        raise UnsafeFileError(f"XML of {len(xml)} bytes; allowed: at most {MAX_XML_BYTES}")
    scan = _Scan()
    # The encoding is fixed: a document must not choose which decoder gets loaded.
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = scan.start
    parser.EndElementHandler = scan.end
    # Without a document type there is no entity to expand or to fetch.
    parser.StartDoctypeDeclHandler = _refuse_declaration
    parser.EntityDeclHandler = _refuse_declaration
    try:
        parser.Parse(xml, True)
    except UnsafeFileError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnsafeFileError(f"not well-formed XML ({error})") from error
    return scan


def _refuse_declaration(*_: object) -> None:
    raise UnsafeFileError("XML declares a document type or an entity; none is allowed")


def _values(name: str, data: Mapping[str, str], blob: bytes) -> np.ndarray:
    where = f"constant {name[:80]!r}"
    shape = tuple(
        _integer(part, where) for part in data.get("shape", "").split(",") if part.strip()
    )
    offset = _integer(data.get("offset", ""), where)
    size = _integer(data.get("size", ""), where)
    if len(shape) > MAX_RANK:
        raise UnsafeFileError(f"{where}: rank {len(shape)}; allowed: at most {MAX_RANK}")
    if size != 4 * math.prod(shape):
        raise UnsafeFileError(f"{where}: {size} bytes for the f32 shape {shape}")
    if offset + size > len(blob):
        raise UnsafeFileError(
            f"{where}: bytes {offset} to {offset + size} of a blob of {len(blob)}"
        )
    return np.frombuffer(blob, "<f4", count=size // 4, offset=offset).reshape(shape)


def _integer(text: str, where: str) -> int:
    # Digits only, and few of them: no sign, and no huge number to multiply.
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise UnsafeFileError(f"{where}: {text[:40]!r} is not a size; allowed: up to 12 digits")
    return int(digits)
