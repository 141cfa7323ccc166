"""Checks of what callers give: `ValueError` with the offending value and the allowed ones."""

# Values of any type are looked at.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Collection, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import lru_cache
from inspect import currentframe
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    import numpy as np

PACKAGE = __name__.partition(".")[0]
# Plain types: what they are called, and which values count.
KINDS: dict[Any, tuple[str, tuple[type, ...]]] = {
    str: ("text", (str,)),
    bool: ("true or false", (bool,)),
    int: ("a whole number", (Integral,)),
    float: ("a number", (Real,)),
}
NAMES = ("name", "space", "kind")  # fields that say which spec it is
DTYPES = {
    "f": "floats",
    "fu": "floats or uint8",
    "iu": "whole numbers",
    "iuf": "numbers",
    "biuf": "numbers or booleans",
}


def check_choice(what: str, value: object, allowed: Collection[str]) -> None:
    """Raise `ValueError` naming `value` and the `allowed` names unless it is one of them."""
    if not isinstance(value, str) or value not in allowed:
        text = value if isinstance(value, str) and len(value) > 2 else ""
        nearest = "".join(f"; nearest: {one}" for one in get_close_matches(text, allowed, 1))
        raise ValueError(f"unknown {what} {told(value)}; allowed: {', '.join(allowed)}{nearest}")


def check_at_least(what: str, value: Any, least: float) -> None:
    """Raise `ValueError` unless `value` is a finite number not below `least`."""
    if not (is_number(value) and least <= value < math.inf):
        raise ValueError(f"{what} must be at least {least} and finite, got {told(value)}")


def check_whole(what: str, value: Any, least: int) -> None:
    """Raise `ValueError` unless `value` is a whole number not below `least`."""
    if not (is_number(value) and least <= value < math.inf and value == int(value)):
        raise ValueError(f"{what} must be a whole number of at least {least}, got {told(value)}")


def check_above(what: str, value: Any, bound: float) -> None:
    """Raise `ValueError` unless `value` is a finite number above `bound`."""
    if not (is_number(value) and bound < value < math.inf):
        raise ValueError(f"{what} must be above {bound} and finite, got {told(value)}")


def check_number(what: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is a finite number."""
    if not (is_number(value) and math.isfinite(value)):
        raise ValueError(f"{what} must be a finite number, got {told(value)}")


def check_span(what: str, span: tuple[int, int] | None) -> None:
    """Raise `ValueError` unless `span` is None or (first, last) with 0 <= first < last."""
    if span is not None and not 0 <= span[0] < span[1]:
        raise ValueError(f"{what} must be (first, last) with 0 <= first < last, got {span}")


def check_seed(value: Any, what: str = "seed") -> None:
    """Raise `ValueError` unless `value` is from 0 to 2^32 - 1: larger ones repeat keys."""
    if not (isinstance(value, Integral) and is_number(value) and 0 <= int(value) < 2**32):
        raise ValueError(f"{what} {told(value)}; allowed: whole numbers from 0 to {2**32 - 1}")


def check_key(value: Any, count: int = 1) -> None:
    """Raise `ValueError` unless `value` is a random key of jax, or an array of `count` of them."""
    import jax  # presets are read without it
    import jax.numpy as jnp

    typed = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    if not typed or value.shape not in ((), (count,)):
        several = f", or {count} such keys" if count > 1 else ""
        raise ValueError(f"key {told(value)}; allowed: jax.random.key(seed){several}")


def check_callable(what: str, value: object) -> None:
    """Raise `ValueError` unless `value` is None or can be called."""
    if value is not None and not callable(value):
        raise ValueError(f"{what} is {told(value)}; allowed: a function, or None")


def check_place(what: str, value: object) -> None:
    """Raise `ValueError` unless `value` is a name or path of a file or folder."""
    if not isinstance(value, str | os.PathLike) or (isinstance(value, str) and "\0" in value):
        raise ValueError(f"{what} is {told(value)}; allowed: text or a path")


def check_kind(what: str, value: object, kind: type, hint: str = "") -> None:
    """Raise `ValueError` unless `value` is of the class `kind`; `hint` says whence."""
    if not isinstance(value, kind):
        raise ValueError(f"{what} is {told(value)}; allowed: {_article(kind.__name__)}{hint}")


def check_list(what: str, value: object, of: str) -> None:
    """Raise `ValueError` unless `value` is a list, tuple or array of what `of` says."""
    if not isinstance(value, list | tuple) and not hasattr(value, "__array__"):
        raise ValueError(f"{what} is {told(value)}; allowed: a list of {of}")


def check_array(
    what: str, value: Any, kinds: str = "f", meant: str = "", *, finite: bool = True
) -> np.ndarray:
    """`value` as a numpy array; `ValueError` unless it holds (finite) numbers of these `kinds`.

    `kinds` are letters of numpy's kinds of types, a key of `DTYPES`; `meant` says what they are.
    """
    import numpy as np  # help and version need none

    must = f"{what} must be {DTYPES[kinds]}{meant}"
    if value is None or isinstance(value, str | bytes | Mapping | set | frozenset):
        raise ValueError(f"{must}, got {told(value)}")
    try:
        found = np.asarray(value)
    except Exception as error:  # unequal lengths, random keys, values that jax traces
        raise ValueError(f"{must}, got {told(value)}, which is no array") from error
    other_bytes = kinds == "fu" and found.dtype.kind == "u" and found.dtype != np.uint8
    if found.dtype.kind not in kinds or other_bytes:
        given = value if found.dtype == object else found
        raise ValueError(f"{must}, got {told(given)}")
    if finite and found.dtype.kind == "f" and not np.isfinite(found).all():
        place = [int(i) for i in np.argwhere(~np.isfinite(found))[0]]
        wrong = float(found[tuple(place)])
        raise ValueError(f"{what} must be finite, got {wrong} at {place}")
    return found


def is_number(value: Any) -> bool:
    """Whether `value` is a real number of Python or numpy, no truth value and no array."""
    return isinstance(value, Real) and value is not True and value is not False


def told(value: Any) -> str:
    """What an error calls a value: plain ones as they are written, arrays by type and shape."""
    if value is None or isinstance(value, str | bool | Real):
        text = repr(_plain(value))
        return text if len(text) <= 60 else text[:57] + "..."
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    if type(value) is tuple and len(value) < 8 and len(repr(value)) <= 60:
        return repr(value)
    return _article(type(value).__name__)


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's."""
    return value.item() if is_number(value) and hasattr(value, "item") else value


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'AEIOUaeiou' else 'a'} {noun}"


def check_fields(spec: Any) -> None:
    """Raise `ValueError` unless every field of a dataclass has the type that it is declared with.

    Numbers of numpy become Python's, so that equal specs are equal, hash alike and can be written.
    """
    kind: type = type(spec)
    hints = hints_of(kind)
    for one in fields(spec):
        value: Any = getattr(spec, one.name)
        if _plain(value) is not value:
            value = _plain(value)
            object.__setattr__(spec, one.name, value)
        wrong = _mismatch(hints[one.name], value)
        if wrong is not None:
            offending, allowed = wrong
            whose = next((getattr(spec, n) for n in NAMES if n in hints and n != one.name), None)
            whose = f" of {whose!r}" if isinstance(whose, str) else ""
            got = f"{told(offending)} ({kind.__name__})"
            raise ValueError(f"{one.name}{whose} must be {allowed}, got {got}")


@lru_cache
def hints_of(kind: type) -> dict[str, Any]:
    """The types of the fields of a dataclass, by name."""
    return get_type_hints(kind)


def _mismatch(hint: Any, value: Any) -> tuple[Any, str] | None:
    """The part of `value` that does not have the type `hint`, and what is allowed there."""
    origin = get_origin(hint)
    if hint is Any or (value is None and NoneType in get_args(hint)):
        return None
    if origin in (Union, UnionType):
        rest = [one for one in get_args(hint) if one is not NoneType]
        found = [_mismatch(one, value) for one in rest]
        return None if None in found else (value, _allowed(hint))
    if origin is tuple:
        return _tuple_mismatch(hint, value)
    if hint in KINDS:
        fits = isinstance(value, KINDS[hint][1]) and (hint is bool or not isinstance(value, bool))
        return None if fits else (value, _allowed(hint))
    return None if isinstance(value, hint) else (value, _allowed(hint))


def _tuple_mismatch(hint: Any, value: Any) -> tuple[Any, str] | None:
    inner = get_args(hint)
    parts: tuple[Any, ...] = value
    if not isinstance(value, tuple):
        return value, _allowed(hint)
    if inner[-1] is Ellipsis:
        inner = (inner[0],) * len(parts)
    if len(inner) != len(parts):
        return parts, _allowed(hint)
    found = (_mismatch(one, part) for one, part in zip(inner, parts, strict=True))
    return next((wrong for wrong in found if wrong is not None), None)


def _allowed(hint: Any) -> str:
    """The type in words: "a tuple of Term", "a whole number or None"."""
    if hint is NoneType:
        return "None"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_allowed(one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if inner[-1] is Ellipsis:
            return f"a tuple, each entry {_allowed(inner[0])}"
        return f"a tuple ({', '.join(map(_allowed, inner))})"
    return KINDS[hint][0] if hint in KINDS else _article(hint.__name__)


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the caller's own code from which the library was called."""
    frame, level = currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
