"""Files whose facts lie: one line and exit code 2, before memory is taken for what they claim."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from jaxinv.cli.console import USAGE
from jaxinv.cli.main import main
from jaxinv.io.latent_files import save_latents
from jaxinv.runs.doctor import TINY
from jaxinv.specs import GeneratorSpec
from tests.offline import go_offline, save_weights, tiny_params
from tests.weights import SHARED

HOSTILE = SHARED / "data" / "faults" / "hostile"
FILES = ("load_zdim_5e5", "sg2_labels_1e9", "weights_spec_types", "weights_spec_types_2")
DEEP: list = []
for _ in range(60):
    DEEP = [DEEP]
CHANGES = [
    {"z_dim": 2**62},
    {"z_dim": 10**9},
    {"z_dim": 500_000},
    {"z_dim": 10**400},
    {"z_dim": [16]},
    {"z_dim": 16.5},
    {"z_dim": True},
    {"w_dim": "16"},
    {"w_dim": 2**15},
    {"rows": {"a": {"b": 1}}},
    {"rows": 1000},
    {"labels": 10**6},
    {"embedding": -1},
    {"resolution": 2**40},
    {"resolution": None},
    {"noise": [4, 8, 8, 16, 16384]},
    {"noise": [4] * 10**5},
    {"styles": [16, 16, 4, 16, 16, 4, 8, 65536]},
    {"styles": [16, {}, 4, 16, 16, 4, 8, 8]},
    {"layout18": [2**50] * 8},
    {"facts": {"a": 1}},
    {"facts": [["layers", {"a": 1}]]},
    {"facts": [["layers", 10**12]]},
    {"facts": [["layers", DEEP]]},
    {"facts": [["discriminator", ["chain"]]]},
    {"facts": [["discriminator", 1]]},
    {"name": 3},
    {"prior": ["normal"]},
]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command is refused with."""
    assert main(arguments) == USAGE
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert "Traceback" not in line
    assert len(line) < 1000
    return line


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change!s:.30}")
def test_facts_that_lie_are_refused(
    change: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.safetensors"
    save_weights(file, tiny_params(), "generator", spec=asdict(TINY) | change)
    refused(["sample", str(file), "-n", "1", "-o", str(tmp_path / "x.png")], capsys)
    refused(["inspect", str(file)], capsys)
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("text", ["null", "[]", "3", "{", '{"z_dim": NaN}', "[" * 10**5, ""])
def test_facts_that_are_none_are_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "dumps", lambda value, dumps=json.dumps, **more: text
                        if value == {"x": 1} else dumps(value, **more))  # fmt: skip
    file = tmp_path / "g.safetensors"
    save_weights(file, tiny_params(), "generator", spec={"x": 1})
    refused(["sample", str(file), "-o", str(tmp_path / "x.png")], capsys)


@pytest.mark.parametrize("name", FILES)
def test_given_files_are_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = HOSTILE / f"{name}.safetensors"
    if not file.is_file():
        pytest.skip(f"needs {file}")
    refused(["sample", str(file), "-o", str(tmp_path / "x.png")], capsys)
    refused(["inspect", str(file)], capsys)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"a": {"b": [0.0]}}, "w": [0.0] * 16},
        {"weights": {"a": [0.0]}},
        {"weights": {"synthesis": {"value": [0.0]}}, "w": [0.0] * 16},
        {"features": {"nowhere": [0.0]}, "w": [0.0] * 16},
    ],
)
def test_latents_that_change_what_there_is_not_are_refused(
    changes: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.safetensors"
    save_latents(file, changes, {"generator": "tiny"})
    refused(["render", str(file), "-o", str(tmp_path / "out")], capsys)
    assert list((tmp_path / "out").iterdir()) == []


def test_bounds_hold_in_python_too() -> None:
    with pytest.raises(ValueError, match="z_dim must be at most"):
        GeneratorSpec("a", "dcgan", 32, z_dim=2**62)
