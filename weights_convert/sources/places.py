"""Where in a checkpoint's tree a generator may be: the whole, or something that is held inside.

Training code wraps what it saves: under names ("G_ema", "state_dict"), in tuples, and by prefixes
of names ("decoder."). Every place is a tree of its own, for the sources to recognise.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert.sources.base import plain_names

MAX_DEPTH, MAX_PLACES, MAX_SHOWN = 4, 256, 8
AVERAGED = re.compile(r"ema|avg|average|running|smooth|shadow|^gs$", re.I)
GENERATOR = re.compile(r"^(net_?)?g(en.*)?(_|$)|^decoder", re.I)
OTHERS = re.compile(r"^(net_?)?[de]\d*(_|$)|^(dis|crit|enc|opt|aug)|optim", re.I)
CONTAINERS = ("state_dict", "model", "models", "module", "net", "params", "weights")
AVERAGE = "latent_avg"  # of W: e4e, pSp and rosinality keep it beside the generator


class Place(NamedTuple):
    """A part of a tree; `trail` are the trees that it was reached through, and by which name."""

    tree: Any
    trail: tuple[tuple[Any, str], ...] = ()

    @property
    def path(self) -> str:
        """Its name in the file; empty for the whole."""
        return "/".join(name for _, name in self.trail)

    @property
    def beside(self) -> list[str]:
        """What else the file holds."""
        return [one for tree, name in self.trail for one in entries(tree, name)]


def places(tree: Any) -> Iterator[Place]:
    """The whole tree, then what it holds, averaged generators first; at most `MAX_PLACES`."""
    waiting = deque([Place(tree)])
    for _ in range(MAX_PLACES):
        if not waiting:
            return
        place = waiting.popleft()
        around = [outer.get(AVERAGE) for outer, _ in place.trail if isinstance(outer, dict)]
        averages = [average for average in around if isinstance(average, np.ndarray)]
        if averages and isinstance(place.tree, dict):
            yield place._replace(tree={"g_ema": place.tree, AVERAGE: averages[-1]})
        yield place
        if len(place.trail) < MAX_DEPTH:
            inner = _children(place.tree)
            waiting += [Place(part, (*place.trail, (place.tree, name))) for name, part in inner]


def _children(tree: Any) -> list[tuple[str, Any]]:
    if isinstance(tree, list | tuple):  # of networks the averaged one comes last
        parts = [(str(i), part) for i, part in enumerate(tree) if isinstance(part, dict)]
        return parts[: -MAX_SHOWN - 1 : -1]
    if not isinstance(tree, dict) or "class" in tree:
        return []
    held = {n: v for n, v in tree.items() if isinstance(n, str) and isinstance(v, dict | tuple)}
    return [*_likely(held), *_likely(_groups(tree))]


def _groups(tree: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Arrays by the first part of their names: {"decoder": {"conv1.bias": ...}}."""
    groups: dict[str, dict[str, Any]] = {}
    for name, array in plain_names(tree).items():
        first, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(first, {})[rest] = array
    return groups


def _likely(parts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Parts that may be a generator or hold one: by name, or as the only one that is left."""
    parts = {name: part for name, part in parts.items() if not OTHERS.search(name)}
    named = [name for name in parts if GENERATOR.search(name) or AVERAGED.search(name)]
    named.sort(key=lambda name: AVERAGED.search(name) is None)
    left = [name for name in parts if name not in named]
    rest = left if len(left) == 1 else [name for name in left if name in CONTAINERS]
    return [(name, parts[name]) for name in (*named, *rest)]


def entries(tree: Any, without: str = "") -> list[str]:
    """What a tree holds, a phrase each, but for what is called or grouped as `without`."""
    if isinstance(tree, np.ndarray):
        return [f"one array {list(tree.shape)}"]
    if isinstance(tree, list | tuple):
        tree = {str(i): part for i, part in enumerate(tree)}
    if not isinstance(tree, dict):
        return []
    groups = _groups(tree)
    grouped = {name for name in tree if isinstance(tree[name], np.ndarray) and "." in str(name)}
    found = [f"{_shown(name)}.* ({len(part)} arrays)" for name, part in groups.items()]
    names = [*groups, *(name for name in tree if name not in grouped)]
    found += [_entry(name, tree[name]) for name in tree if name not in grouped]
    return [one for name, one in zip(names, found, strict=True) if name != without]


def _entry(name: Any, value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{_shown(name)} {list(value.shape)}"
    kind = value.get("class") if isinstance(value, dict) else None
    return f"{_shown(name)}, a {_shown(kind)}" if kind else _shown(name)


def _shown(name: Any) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(name)[:40])


def shortened(phrases: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(phrases) - MAX_SHOWN
    return ", ".join(phrases[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
