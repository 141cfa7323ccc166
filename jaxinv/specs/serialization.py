"""Presets as JSON: the same data as in `jaxinv/presets/`, in files that people write themselves.

A file holds one object with the fields of `Preset` and the number of their schema; what else is
left out has its usual value. Nothing in it is executed. The options of a solver are an object too:
{"history": 10}.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from jaxinv.specs import EncoderPreset, GeneratorSpec, Hybrid, Preset
from jaxinv.specs.checks import KINDS, hints_of
from jaxinv.specs.encoders import EncoderSpec

T = TypeVar("T")
SUFFIX = ".json"
SCHEMA = 2  # it rises when fields or names in them change
PAIRS = tuple[tuple[str, float], ...]  # written as an object
LARGEST = 1_000_000  # bytes of a file
LARGEST_FACT, LONGEST, DEEPEST = 2**20, 2**10, 8  # of what architectures say of themselves


def to_json(preset: Preset | EncoderPreset | Hybrid) -> str:
    """The preset as JSON with its schema, without the fields that have their usual value."""
    value = {"schema": SCHEMA} | plain(preset, type(preset))
    return json.dumps(value, indent=2, ensure_ascii=False)


def from_json(text: str) -> Preset:
    """The preset that JSON describes, checked as one of the library's own is.

    Raises `ValueError` as `preset_from_json` does.
    """
    return preset_from_json(text, Preset)


def preset_from_json(text: str, kind: type[T]) -> T:
    """The preset of a `kind` that JSON describes: `Preset`, or the `EncoderPreset` of a training.

    Raises `ValueError` for text that is not JSON, for another schema, for unknown or missing fields
    and for values of the wrong kind, each with its place and what is allowed there, and for values
    that `specs` refuses.
    """
    value = parse_json(text, "preset")
    if isinstance(value, dict):
        found = value.pop("schema", None)
        if isinstance(found, bool) or found != SCHEMA:
            raise ValueError(
                f"preset has schema {_short(found)}; allowed: {SCHEMA}. Names of fields and values "
                f"changed (see CHANGELOG): print the preset again, `jaxinv presets NAME --json`"
            )
    return _made(kind, value, "preset")


def generator_from_json(text: str) -> GeneratorSpec:
    """The facts of a generator that JSON describes, each of its type and within its bounds.

    Raises `ValueError` as `from_json` does.
    """
    return _made(GeneratorSpec, parse_json(text, "spec"), "spec")


def encoder_from_json(text: str) -> EncoderSpec:
    """The facts of an encoder that JSON describes, as `generator_from_json` reads a generator's."""
    return _made(EncoderSpec, parse_json(text, "spec"), "spec")


def parse_json(text: str | bytes, what: str) -> Any:
    """The value of JSON of finite numbers, whole ones of 64 bits, whose fields are given once.

    Raises `ValueError` that says `what` is not so.
    """
    try:
        return json.loads(
            text,
            parse_constant=partial(_refuse_constant, what),
            parse_int=_whole,
            object_pairs_hook=_object,
        )
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not JSON: {error}") from error


def read(path: str | Path) -> Preset:
    """The preset of a JSON file; `ValueError` where there is none or `from_json` refuses it."""
    return read_preset(path, Preset)


def read_method(path: str | Path) -> Preset | Hybrid:
    """The preset of a JSON file, or the hybrid of one that says of which parts; see `read`."""
    try:
        value = json.loads(Path(path).read_text("utf-8")) if Path(path).is_file() else {}
    except (OSError, ValueError, RecursionError):
        value = {}  # `read_preset` says what is wrong
    hybrid = isinstance(value, dict) and "parts" in value
    return read_preset(path, Hybrid if hybrid else Preset)


def read_preset(path: str | Path, kind: type[T]) -> T:
    """The preset of a `kind` in a JSON file; `ValueError` as for `read`."""
    place = Path(path)
    if place.exists() and not place.is_file():  # a pipe would be waited for
        raise ValueError(f"{path} is not a regular file; allowed: a JSON file of a preset")
    try:
        if (size := place.stat().st_size) > LARGEST:
            raise ValueError(f"{path} has {size} bytes; allowed: at most {LARGEST}")
        text = place.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"no preset can be read from {str(path)!r}: {error}") from error
    try:
        return preset_from_json(text, kind)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def plain(value: Any, hint: Any) -> Any:
    """A value of a spec, of the type `hint`, as dicts, lists, texts and numbers.

    Fields that have their usual value are left out.
    """
    if is_dataclass(value):
        kind: Any = type(value)
        hints = hints_of(kind)
        return {
            one.name: plain(getattr(value, one.name), hints[one.name])
            for one in fields(value)
            if getattr(value, one.name) != one.default
        }
    if hint == PAIRS:
        pairs: Any = value
        return dict(pairs)
    if isinstance(value, tuple):
        few = get_args(hint)
        inner = few[0] if few and few[-1] is Ellipsis else Any
        return [plain(part, inner) for part in value]
    return value


def _made(hint: Any, value: Any, where: str) -> Any:
    """The value of the type `hint` that plain data describe."""
    if hint is Any:
        return _fact(value, where)
    if is_dataclass(hint):
        return _spec(hint, value, where)
    if get_origin(hint) in (Union, UnionType):
        return _one_of(get_args(hint), value, where)
    if get_origin(hint) is tuple:
        return _tuple(hint, value, where)
    name, kinds = KINDS[hint]
    if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where} is {_short(value)}; allowed: {name}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is too large for a number; allowed: {name}")
    return value


def _fact(value: Any, where: str, depth: int = 0) -> Any:
    """A fact of an architecture: text, numbers of a size that networks have, lists of them."""
    if isinstance(value, list) and depth < DEEPEST and len(value) <= LONGEST:
        return tuple(_fact(one, f"{where}[{i}]", depth + 1) for i, one in enumerate(value))
    if isinstance(value, str | bool | NoneType) and len(str(value)) <= LONGEST:
        return value
    if isinstance(value, int | float) and abs(value) <= LARGEST_FACT:
        return value
    raise ValueError(
        f"{where} is {_short(value)}; allowed: text, numbers up to {LARGEST_FACT}, and lists of "
        f"up to {LONGEST}, {DEEPEST} deep"
    )


def _spec(hint: Any, value: Any, where: str) -> Any:
    known = {one.name: one for one in fields(hint)}
    allowed = ", ".join(known)
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {_short(value)}; allowed: an object with some of {allowed}")
    for name in value:
        if name not in known:
            raise ValueError(f"unknown field {name!r} of {where}; allowed: {allowed}")
    for name, one in known.items():
        if name not in value and one.default is MISSING and one.default_factory is MISSING:
            raise ValueError(f"{where} lacks the field {name!r}; allowed: {allowed}")
    hints = hints_of(hint)
    parts = {name: _made(hints[name], x, f"{where}.{name}") for name, x in value.items()}
    try:
        return hint(**parts)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in hints:
        return None
    rest = [hint for hint in hints if hint is not NoneType]
    if len(rest) > 1:  # texts or numbers
        rest = [hint for hint in rest if isinstance(value, KINDS[hint][1])] or rest
    return _made(rest[0], value, where)


def _tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    inner = get_args(hint)
    if hint == PAIRS and isinstance(value, dict):
        return tuple((name, _made(float, x, f"{where}.{name}")) for name, x in value.items())
    if not isinstance(value, list):
        allowed = "an object" if hint == PAIRS else "a list"
        raise ValueError(f"{where} is {_short(value)}; allowed: {allowed}")
    if inner[-1] is Ellipsis:
        inner = (inner[0],) * len(value)
    if len(value) != len(inner):
        raise ValueError(f"{where} has {len(value)} entries; allowed: {len(inner)}")
    pairs = enumerate(zip(inner, value, strict=True))
    return tuple(_made(one, x, f"{where}[{number}]") for number, (one, x) in pairs)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse_constant(what: str, name: str) -> float:
    raise ValueError(f"{what} holds {name}; allowed: finite numbers")


def _whole(digits: str) -> int:
    """A whole number that fits into 64 bits."""
    value = int(digits) if len(digits) < 20 else 2**63
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"JSON holds {digits[:24]}; allowed: whole numbers of 64 bits")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field {twice!r} is given twice; allowed: once")
    return found
