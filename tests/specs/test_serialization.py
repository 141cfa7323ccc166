"""Presets as JSON: there and back again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jaxinv.cli.main import main
from jaxinv.inversion.presets import find_preset
from jaxinv.presets import PRESETS
from jaxinv.specs.serialization import from_json, read, to_json


def data(**changes: Any) -> dict[str, Any]:
    """A small preset as plain data."""
    stage = {"variables": [{"space": "w"}], "terms": [{"name": "mse"}], "steps": 5}
    fields = {
        "schema": 2,
        "name": "mine",
        "stages": [stage | changes.pop("stage", {})],
        "summary": "s",
    }
    return fields | {"reference": "r"} | changes


@pytest.mark.parametrize("name", PRESETS)
def test_there_and_back_again(name: str) -> None:
    preset = PRESETS[name]
    again = from_json(to_json(preset))
    assert again == preset
    assert again.notes == preset.notes
    assert hash(again) == hash(preset)


def test_what_is_left_out_is_as_usual() -> None:
    preset = from_json(json.dumps(data(stage={"solver": {"options": {"b1": 0.5}}})))
    (stage,) = preset.stages
    assert stage.solver.name == "adam"
    assert stage.solver.options == (("b1", 0.5),)
    assert stage.variables[0].init.kind == "mean"
    assert set(json.loads(to_json(preset))) == {"schema", "name", "stages", "summary", "reference"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "preset is not JSON"),
        ("[" * 100_000, "preset is nested too deeply"),
        ("[]", r"preset is \[\]; allowed: an object with some of name, stages"),
        ('{"name": NaN}', "preset holds NaN; allowed: finite numbers"),
        ('{"name": "a", "name": "b"}', "field 'name' is given twice"),
        ('{"schema": 2, "name": "a"}', "preset lacks the field 'stages'; allowed: name, stages"),
    ],
)
def test_text_that_is_no_preset_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        from_json(text)


@pytest.mark.parametrize("schema", [None, 1, 3, "2", True])
def test_other_schemas_are_refused_with_what_to_do(schema: Any) -> None:
    fields = data(schema=schema)
    if schema is None:
        del fields["schema"]
    with pytest.raises(ValueError, match="preset has schema") as refused:
        from_json(json.dumps(fields))
    (line,) = str(refused.value).splitlines()
    assert f"schema {json.dumps(schema)}; allowed: 2." in line
    assert "`jaxinv presets NAME --json`" in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"step": 1}, "unknown field 'step' of preset; allowed: name, stages"),
        ({"stages": []}, "preset 'mine' has no stages"),
        ({"stages": {}}, r"preset.stages is {}; allowed: a list"),
        ({"restarts": "2"}, 'preset.restarts is "2"; allowed: a whole number'),
        ({"restarts": True}, "preset.restarts is true; allowed: a whole number"),
        ({"name": None}, "preset.name is null; allowed: text"),
        ({"operator": {"name": "blurr"}}, "preset.operator: unknown operator 'blurr'; allowed: id"),
        ({"stage": {"steps": 0}}, "steps must be a whole number of at least 1, got 0"),
        ({"stage": {"terms": [{"name": "mes"}]}}, r"terms\[0\]: unknown term 'mes'; allowed: mse"),
        (
            {"stage": {"terms": [{"name": "mse", "weight": -1}]}},
            r"preset.stages\[0\].terms\[0\]: weight of term 'mse' must be at least 0.0.* got -1",
        ),
        (
            {"stage": {"terms": [{"name": "mse", "waight": 1}]}},
            r"unknown field 'waight' of preset.stages\[0\].terms\[0\]; allowed: name, weight",
        ),
        ({"stage": {"solver": {"options": 3}}}, "solver.options is 3; allowed: an object"),
        ({"stage": {"solver": {"options": {"b9": 1}}}}, "unknown option of solver 'adam' 'b9'"),
        (
            {"stage": {"variables": [{"space": "features", "layers": [None]}]}},
            r"layers\[0\] is null; all",
        ),
        (
            {"stage": {"variables": [{"space": "w+", "freeze": [1]}]}},
            "freeze has 1 entries; allowed: 2",
        ),
    ],
)
def test_data_that_is_no_preset_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        from_json(json.dumps(data(**changes)))


def test_presets_come_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "pulse", "--json"]) == 0
    file = tmp_path / "mine.json"
    file.write_text(capsys.readouterr().out.replace('"steps": 100', '"steps": 7'), "utf-8")
    preset = find_preset(str(file))
    assert preset.steps == 8
    assert main(["presets", str(file)]) == 0
    said = capsys.readouterr().out
    assert "\n  1 evaluations of z+ by" in said
    assert "\n  7 evaluations of w+ by adam\n" in said
    assert "measured" not in said
    assert PRESETS["pulse"].notes in said
    file.write_text('{"schema": 2}', "utf-8")
    with pytest.raises(ValueError, match=r"mine.json: preset lacks the field 'name'"):
        read(file)
    with pytest.raises(ValueError, match="no preset can be read from"):
        find_preset(str(tmp_path / "none.json"))
    for arguments, told in (
        (["presets", "--json"], "--json needs a name; allowed: quick"),
        (["presets", "pulsee"], "unknown preset 'pulsee'; allowed: quick"),
        (["invert", "a.png", "-o", "out", "-p", str(file)], "preset lacks the field 'name'"),
    ):
        assert main(arguments) == 2
        assert told in capsys.readouterr().err
