"""Facts of encoders as JSON: they come back as they were, and those that lie are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jaxinv.specs.encoders import EncoderSpec
from jaxinv.specs.serialization import encoder_from_json, plain
from tests.tiny_encoders import CORRECTION, FEEDBACK, LOOK, SKETCH

DEEP: list = []
for _ in range(60):
    DEEP = [DEEP]
CHANGES: list[dict[str, Any]] = [
    {"side": 2**40},
    {"side": 4},
    {"side": "32"},
    {"side": True},
    {"height": 64},
    {"rows": -1},
    {"rows": 2**20},
    {"width": 10**400},
    {"width": 0},
    {"planes": []},
    {"planes": ["image", "image"]},
    {"planes": ["nothing"]},
    {"planes": "image"},
    {"labels": 3},
    {"planes": ["labels"]},
    {"output": "x"},
    {"base": "before"},
    {"base": 1},
    {"passes": 0},
    {"passes": 3},
    {"resize": "cubic"},
    {"resize_drawn": "cubic"},
    {"before": 3},
    {"before": {"name": "b"}},
    {"facts": {"a": 1}},
    {"facts": [["a", 10**12]]},
    {"facts": [["a", DEEP]]},
    {"unknown": 1},
    {"name": None},
]


@pytest.mark.parametrize("spec", [LOOK, FEEDBACK, SKETCH, CORRECTION], ids=lambda s: s.name)
def test_facts_come_back(spec: EncoderSpec) -> None:
    assert encoder_from_json(json.dumps(plain(spec, EncoderSpec))) == spec


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change!s:.30}")
def test_facts_that_lie_are_refused(change: dict[str, Any]) -> None:
    data = plain(LOOK, EncoderSpec) | change
    with pytest.raises(ValueError, match=r"\w") as told:
        encoder_from_json(json.dumps(data))
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("text", ["null", "[]", "3", "{", '{"side": NaN}', "[" * 10**5, ""])
def test_facts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="spec"):
        encoder_from_json(text)


def test_chains_are_bounded() -> None:
    spec = LOOK
    for _ in range(7):
        spec = replace(CORRECTION, before=spec)
    with pytest.raises(ValueError, match="a chain of 9 encoders; allowed: at most 8"):
        replace(CORRECTION, before=spec)
