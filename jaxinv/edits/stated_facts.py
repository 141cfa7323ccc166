"""What a saved direction, walk or student states beside its arrays: whose it is, and what it does.

One set of fields (see `directions.Direction`), checked, written and read in one place.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jaxinv.io import checkpoints
from jaxinv.specs.checks import check_kind, check_list, check_number, check_place

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.specs import GeneratorSpec

SCHEMA = "1"
TEXTS = ("name", "space", "generator", "generator_name", "unit", "source")


def kind_of(stated: Any) -> str:
    """What it is called, in its file too: "direction", "walk" or "student"."""
    return type(stated).__name__.lower()


def check_facts(stated: Any) -> None:
    """Raise `ValueError` for a text that is none, and for impossible amounts or effects."""
    kind = kind_of(stated)
    for name in TEXTS:
        check_kind(f"{name} of a {kind}", getattr(stated, name), str)
    what = f"{kind} {stated.name!r}"
    if stated.usable is not None:
        check_list(f"usable amounts of {what}", stated.usable, "two numbers")
        if len(stated.usable) != 2:
            raise ValueError(f"usable amounts of {what}: {stated.usable}; allowed: low, high")
        low, high = stated.usable
        check_number(f"least amount of {what}", low)
        check_number(f"greatest amount of {what}", high)
        if low > high:
            raise ValueError(f"usable amounts of {what} are {low} to {high}; allowed: low, high")
    check_kind(f"effects of {what}", stated.effects, dict)
    for name, value in stated.effects.items():
        check_kind(f"what {what} changes", name, str)
        check_number(f"effect of {what} on {name!r}", value)


def written_facts(stated: Any) -> dict[str, str]:
    """The facts as metadata of a file."""
    facts = {name: getattr(stated, name) for name in TEXTS}
    facts |= {name: json.dumps(getattr(stated, name)) for name in ("usable", "effects")}
    return facts | {"format": "jaxinv", "schema": SCHEMA, "kind": kind_of(stated)}


def read_stated(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays and the metadata of a file of this kind; nothing in it is executed.

    Raises `ValueError` for a file of another kind, `OSError` where there is no file.
    """
    check_place("path", path)
    tree, facts = checkpoints.load(path)
    if facts.get("kind") != kind:
        raise ValueError(f"{path} holds {facts.get('kind', 'nothing known')!r}; allowed: {kind!r}")
    return tree, facts


def read_facts(facts: dict[str, str]) -> dict[str, Any]:
    """The facts of a file's metadata by field; `ValueError` or `TypeError` for other text."""
    usable = json.loads(facts.get("usable", "null"))
    return {name: facts.get(name, "") for name in TEXTS} | {
        "usable": None if usable is None else tuple(usable),
        "effects": json.loads(facts.get("effects", "{}")),
    }


def check_generator_of(stated: Any, spec: GeneratorSpec, generator: str) -> None:
    """Raise `ValueError` unless it belongs to the generator of this hash."""
    if stated.generator != generator:
        theirs = stated.generator_name or "another"
        raise ValueError(
            f"{kind_of(stated)} {stated.name!r} belongs to generator {theirs!r} "
            f"({stated.generator[:12]}); allowed here: those of {spec.name!r} "
            f"({generator[:12]})"
        )
