"""The table of losses: every entry can be made into a term, and every fact in it has a meaning."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from jaxinv.specs import Term, View
from jaxinv.specs.term_kinds import IMAGE, RENDER, TERMS, VARIABLE
from jaxinv.specs.terms import COMMON
from jaxinv.specs.vocabulary import DISCRIMINATOR, EMBEDDERS, LAYERS, LPIPS_LAYERS, NETS, SPACES

# For every field that only some terms take: a value that is not its default.
OTHERS: dict[str, Any] = {
    "net": None,  # the last of those that the term can use
    "layers": (),  # the first of that net
    "view": View(16),
    "reduction": "sum",
    "variable": None,  # the last of those that the term is for
    "rows": (0, 1),
    "row_range": (0.5, 1.0),
    "margin": 0.5,
    "last_layers": 1,
    "distance": "cosine",
    "floor": 0.1,
    "scales": 2,
    "heads": (1,),
    "weighted": False,
    "critic": True,
    "power": 2,
    "radius": 3.0,
    "reference_side": 64,
    "cutoff": 64,
    "neighbours": 5,
    "mask": "not face",
    "moves": ("w",),
    "target": "style",
    "target_mask": "hair",
    "removed_from": "mse",
}


def least(name: str) -> dict[str, Any]:
    """The fields without which there is no such term: a net with a layer, and a variable."""
    kind, found = TERMS[name], {}
    if kind.family == IMAGE and kind.nets and "net" not in kind.defaults:
        found["net"] = kind.nets[0]
        if "layers" in kind.takes:
            layers = LPIPS_LAYERS if name == "lpips" else LAYERS
            found["layers"] = layers.get(kind.nets[0], ("output",))[:1]
    if "variable" in kind.takes and "variable" not in kind.defaults:
        found["variable"] = "w+" if "w+" in kind.spaces else kind.spaces[0]
    return found


def other(name: str, field: str) -> dict[str, Any]:
    """The least fields of a term with another value of one that it takes."""
    kind, made = TERMS[name], least(name)
    if field in ("net", "last_layers"):
        few = {"last_layers": 1} if "last_layers" in kind.takes else {}
        return {**made, "net": kind.nets[-1], "layers": (), **few}
    if field == "target_mask":  # of another picture, where all positions are compared at once
        return {**made, "target": "style", "distance": "style", field: OTHERS[field]}
    if field == "layers":
        return {**made, "layers": made.get("layers") or ("b8",)}
    return {**made, field: kind.spaces[-1] if field == "variable" else OTHERS[field]}


PAIRS = [(name, field) for name, kind in TERMS.items() for field in kind.takes]
IGNORED = [(name, field) for name in TERMS for field in OTHERS if (name, field) not in PAIRS]


@pytest.mark.parametrize("name", TERMS)
def test_every_entry_is_a_term_that_fills_in_its_defaults(name: str) -> None:
    term, kind = Term(name, **least(name)), TERMS[name]
    assert kind.family in (IMAGE, RENDER, VARIABLE)
    assert set(kind.defaults) <= set(kind.takes)
    assert all(getattr(term, field) == value for field, value in kind.defaults.items())
    assert bool(kind.spaces) == (kind.family == VARIABLE)
    assert set(kind.spaces) <= set(SPACES)
    assert set(kind.nets) <= {*NETS, *EMBEDDERS, DISCRIMINATOR}
    assert bool(kind.nets) == ("net" in kind.takes)
    assert set(kind.statistics) <= {"w", "p"}
    assert term.needs_discriminator == (kind.discriminator or kind.attention)


def test_every_field_is_common_or_taken_by_some_term() -> None:
    known = {one.name for one in fields(Term)}
    assert {field for kind in TERMS.values() for field in kind.takes} == known - set(COMMON)
    assert set(OTHERS) == known - set(COMMON)


@pytest.mark.parametrize(("name", "field"), PAIRS)
def test_a_field_that_a_term_takes_can_be_set(name: str, field: str) -> None:
    given = other(name, field)
    term = Term(name, **given)
    assert getattr(term, field) == given[field]


@pytest.mark.parametrize(("name", "field"), IGNORED)
def test_a_field_that_a_term_would_ignore_is_refused(name: str, field: str) -> None:
    value = {"net": "vgg16", "layers": ("b8",), "variable": "w"}.get(field, OTHERS[field])
    with pytest.raises(ValueError, match=f"'{name}' takes no {field}, got .*; allowed with: "):
        Term(name, **{**least(name), field: value})
