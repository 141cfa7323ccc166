"""Walks: saved ways of editing that are not straight, with the arrays and nets that they need."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxinv.edits.discovery.flows import flow_widths
from jaxinv.edits.discovery.styleclip import mapper_width
from jaxinv.edits.discovery.training import mlp_widths
from jaxinv.edits.stated_facts import check_facts, read_facts, read_stated, written_facts
from jaxinv.io import checkpoints
from jaxinv.models.generators.weight_deltas import leaves
from jaxinv.specs.checks import (
    check_above,
    check_array,
    check_choice,
    check_kind,
    check_list,
    check_place,
    check_whole,
    told,
)

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.types import Tree

Shapes = dict[str, tuple[int, ...]]
# Codes of one vector, all channels in S; in w+ every row is one, and all of them are seen together.
WALK_SPACES = ("z", "w", "w+", "s")


class WalkKind(NamedTuple):
    """What a walk of one kind holds: see `KINDS`.

    `width` tells, of its arrays, how long a code is that it moves, and how many attributes it knows
    (0: none); it raises `ValueError` or `KeyError` where they do not fit each other.
    """

    words: str
    spaces: tuple[str, ...]
    options: tuple[str, ...]
    width: Callable[[Tree], tuple[int, int]]


def _same(names: tuple[str, ...], optional: tuple[str, ...] = ()) -> Callable[[Tree], Any]:
    """Vectors [d] of one length."""

    def width(arrays: Tree) -> tuple[int, int]:
        held = _named(arrays, names, optional)
        found = {np.shape(one) for one in held.values()}
        if len(found) != 1 or len(next(iter(found))) != 1:
            raise ValueError(f"shapes {sorted(found)}; allowed: [d], one d for all")
        return next(iter(found))[0], 0

    return width


def _named(arrays: Tree, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if set(names) - set(arrays) or set(arrays) - {*names, *optional}:
        more = f", {', '.join(optional)}" if optional else ""
        raise ValueError(f"arrays {', '.join(sorted(arrays))}; allowed: {', '.join(names)}{more}")
    return arrays


def _circle(arrays: Tree) -> tuple[int, int]:
    held = _named(arrays, ("vector",), ("fixed",))
    (width,) = np.shape(held["vector"])
    if "fixed" in held and np.shape(held["fixed"])[1:] != (width,):
        raise ValueError(f"fixed {list(np.shape(held['fixed']))}; allowed: [k, {width}]")
    return width, 0


def _steps(arrays: Tree) -> tuple[int, int]:
    found = set[tuple[int, int]]()
    for net in _named(arrays, ("forward", "back")).values():
        (width, hidden), last = np.shape(net["in"]), np.shape(net["out"])
        found |= {(width, len(net)), (last[1] if last[0] == hidden else -1, 2)}
    if len(found) != 1:
        raise ValueError("nets of other widths; allowed: 'in' [d, m] and 'out' [m, d] twice")
    return next(iter(found))[0], 0


def _planes(arrays: Tree) -> tuple[int, int]:
    held = _named(arrays, ("normals", "deviation"))
    count, width = np.shape(held["normals"])
    if np.shape(held["deviation"]) != (width,):
        raise ValueError(f"deviation {list(np.shape(held['deviation']))}; allowed: [{width}]")
    return width, count


def _proxy(arrays: Tree) -> tuple[int, int]:
    return mlp_widths(_named(arrays, ("measure",))["measure"])


def _rig(arrays: Tree) -> tuple[int, int]:
    wide, width = mlp_widths(_named(arrays, ("change",))["change"])
    if wide <= width:
        raise ValueError(f"a net from {wide} to {width} numbers; allowed: a code and parameters in")
    return width, wide - width


def _flow(arrays: Tree) -> tuple[int, int]:
    held = _named(arrays, ("flow", "measure"))
    found = {flow_widths(held["flow"]), mlp_widths(held["measure"])}
    if len(found) != 1:
        raise ValueError(f"a flow and a net of widths {sorted(found)}; allowed: the same twice")
    return next(iter(found))


def _mapper(arrays: Tree) -> tuple[int, int]:
    return mapper_width(_named(arrays, ("weights",))["weights"]), 0


KINDS: dict[str, WalkKind] = {
    "recursion": WalkKind(
        "steps of z <- M z + q (Spingarn et al. 2021)", ("z", "w"), (), _same(("scale", "shift"))
    ),
    "circle": WalkKind("a circle through a direction, in radians", ("z", "w"), (), _circle),
    "steps": WalkKind("steps of two learned nets (Jahanian et al. 2020)", ("z", "w"), (), _steps),
    "flow": WalkKind(
        "a flow under attributes, told by a net (Abdal et al. 2021)",
        ("z", "w"),
        ("target",),
        _flow,
    ),
    "proxy": WalkKind(
        "along the slope of a net, others kept (Wang et al. 2021)",
        ("z", "w"),
        ("target", "keep", "step"),
        _proxy,
    ),
    "rig": WalkKind(
        "a net that changes one parameter (Tewari et al. 2020)", ("z", "w"), ("target",), _rig
    ),
    "mapper": WalkKind(
        "nets that add to every w+ (Patashnik et al. 2021)", ("w+",), ("axis",), _mapper
    ),
    "intervention": WalkKind(
        "the fewest channels past a plane (Liu et al. 2020)", ("s",), ("target",), _planes
    ),
    "channels": WalkKind(
        "channels of a reference (Collins et al. 2020)",
        ("s",),
        (),
        _same(("query",), ("reference",)),
    ),
}


@dataclass(frozen=True, eq=False)
class Walk:
    """A way of editing that is not straight, as data; `walk_path` of `walk_paths` walks it.

    Attributes:
        name: what it changes, such as "age".
        kind: one of `KINDS`.
        space: one of `WALK_SPACES` that the kind allows.
        arrays: float32, a nested dict: what the kind needs.
        options: "target", the number of the attribute that changes; "keep", numbers of those that
            stay; "step", the length of a step; "axis", over which codes are normalised; as the
            kind has them.
        generator: `generator_hash` of the parameters that it belongs to; "" when nobody knows.
        generator_name: what that generator is called.
        unit: what an amount of 1 means.
        usable: least and greatest amount at which pictures stay intact; None when not measured.
        effects: measured change of every attribute by an amount of 1.
        source: method and reference.

    Raises:
        ValueError: a field has another type, or arrays and options are not those of the kind.
    """

    name: str
    kind: str
    space: str
    arrays: Tree
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    generator: str = ""
    generator_name: str = ""
    unit: str = ""
    usable: tuple[float, float] | None = None
    effects: dict[str, float] = field(default_factory=dict[str, float])
    source: str = ""

    def __post_init__(self) -> None:
        check_facts(self)
        what = f"walk {self.name!r}"
        check_choice(f"kind of {what}", self.kind, tuple(KINDS))
        check_choice(f"space of {what}", self.space, KINDS[self.kind].spaces)
        check_kind(f"arrays of {what}", self.arrays, dict)

        def array(leaf: Any) -> np.ndarray:
            with np.errstate(over="ignore"):
                found = check_array(f"an array of {what}", leaf, "iuf").astype(np.float32)
            if not (found.size and np.isfinite(found).all()):
                raise ValueError(f"an array of {what} is {told(leaf)}; allowed: finite numbers")
            return found

        object.__setattr__(self, "arrays", jax.tree.map(array, self.arrays))
        try:
            _, known = KINDS[self.kind].width(self.arrays)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(
                f"arrays of {what} are no {self.kind!r}: {' '.join(str(error).split())}"
            ) from error
        self._check_options(what, known)

    def _check_options(self, what: str, known: int) -> None:
        check_kind(f"options of {what}", self.options, dict)
        wanted = KINDS[self.kind].options
        if set(self.options) != set(wanted):
            raise ValueError(
                f"options of {what}: {', '.join(map(str, self.options)) or 'none'}; allowed for "
                f"{self.kind!r}: {', '.join(wanted) or 'none'}"
            )
        if self.options.get("axis", 1) not in (1, 2):
            raise ValueError(
                f"axis {self.options['axis']!r} of {what}; allowed: 1, over rows, as published, or "
                f"2, over the numbers of each"
            )
        if "keep" in self.options:
            check_list(f"keep of {what}", self.options["keep"], "numbers of attributes")
        numbers = [self.options[n] for n in ("target",) if n in self.options]
        for number in [*numbers, *self.options.get("keep", ())]:
            check_whole(f"number of an attribute of {what}", number, 0)
            if number >= known:
                raise ValueError(f"attribute {number} of {what}; allowed: 0 to {known - 1}")
        if "step" in self.options:
            check_above(f"step of {what}", self.options["step"], 0)
        if "keep" in self.options and numbers[0] in self.options["keep"]:
            raise ValueError(f"{what} is to change and to keep {numbers[0]}; allowed: one of them")

    @property
    def width(self) -> int:
        """How many numbers a code has that it moves: of all channels in "s", of a row in others."""
        return KINDS[self.kind].width(self.arrays)[0]


def save_walk(path: str | Path, walk: Walk) -> Path:
    """Write a walk as one .safetensors file, all fields with it; returns `path`."""
    check_place("path", path)
    check_kind("walk", walk, Walk)
    facts = written_facts(walk)
    facts |= {"walk": walk.kind, "options": json.dumps(dict(walk.options))}
    return checkpoints.save(path, walk.arrays, facts)


def load_walk(path: str | Path) -> Walk:
    """The walk that `save_walk` has written; nothing in the file is executed.

    Raises `ValueError` for a file that holds none, `OSError` where there is no file.
    """
    tree, facts = read_stated(path, "walk")
    try:
        options = json.loads(facts.get("options", "{}"))
        return Walk(**read_facts(facts), kind=facts.get("walk", ""), arrays=tree, options=options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no usable walk: {error}") from error


def told_walk(walk: Walk) -> str:
    """A walk in a few words: its kind, and how much it holds."""
    count = sum(np.size(leaf) for _, leaf in leaves(walk.arrays))
    return f"{walk.kind}: {KINDS[walk.kind].words}; {count:,} numbers"
