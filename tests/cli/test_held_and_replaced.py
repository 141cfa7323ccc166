"""The verbs that edit: scores that are held, and results that are not replaced unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.edits.directions import Direction
from jaxinv.edits.kept import kept_direction
from jaxinv.edits.ways import save_way
from jaxinv.io.latent_files import load_latents
from jaxinv.metrics.attributes import attribute_scores
from jaxinv.metrics.naturalness import LUMA
from jaxinv.types import Array
from tests.edited import GEN, PARAMS, D, keep_of, lines, make_place, pixels

EDIT = ["edit", "run", "-o", "OUT", "-d", "age"]
HELD = [*EDIT, "--overwrite"]


@pytest.fixture
def place(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    return make_place(tmp_path, tmp_path_factory.getbasetemp(), monkeypatch)


def brighter() -> Direction:
    """The way in which the first picture gets brighter fastest: by 8 levels."""
    code = load_latents("run/latents/a.safetensors")[0]["w+"]

    def luma(step: Array) -> Array:
        return 127.5 * jnp.mean(GEN.synthesize(PARAMS, {"w+": code + step}, None) @ jnp.array(LUMA))

    slope = np.asarray(jax.jit(jax.grad(luma))(jnp.zeros(D)))
    own = kept_direction("tiny", "smile").generator
    vector = 8 * slope / (slope @ slope)
    return Direction("bright", "w", vector, own, "tiny", effects={"luma": 8.0})


@pytest.mark.usefixtures("place")
def test_a_score_is_held_on_every_picture(capsys: pytest.CaptureFixture[str]) -> None:
    bright = brighter()
    save_way("bright.safetensors", bright)
    words = [*HELD, "--amount", "0.5:1:2"]
    assert main([*words, "--hold", "bright.safetensors"]) == DONE
    assert "warning" not in capsys.readouterr().err
    for name, line in zip("ab", lines(), strict=True):
        before, *after = line["held"]["luma"]
        assert np.abs(np.subtract(after, before)).max() <= 0.03 * 8
        drawn = pixels(f"OUT/images/{name}-001.png")[None].astype(np.uint8)
        assert attribute_scores("luma", drawn) == pytest.approx(after[-1], abs=1e-9)
        moved, told = load_latents(f"OUT/latents/{name}-001.safetensors")
        first = load_latents(f"run/latents/{name}.safetensors")[0]["w+"]
        edits = json.loads(told["edits"])
        assert edits[0] == {"direction": "age", "amount": 1.0}
        assert edits[1] | {"amount": 0} == {
            "direction": "bright.safetensors", "amount": 0, "holds": "luma"
        }  # fmt: skip
        expected = first + keep_of("age") + edits[1]["amount"] * bright.vector
        np.testing.assert_allclose(moved["w+"], expected, rtol=1e-4, atol=1e-5)
        assert edits[1]["amount"] != 0
    save_way("short.safetensors", replace(bright, usable=(0.0, 0.0)))
    assert main([*words, "--hold", "short.safetensors"]) == DONE
    said = capsys.readouterr().err.splitlines()
    # Half the edit may change a picture by less than what counts as held.
    assert all("'luma' could not be held" in line for line in said)
    for name, line in zip("ab", lines(), strict=True):
        assert any(f"{name}.safetensors: at 1: 'luma'" in one for one in said)
        assert "'luma' could not be held" in line["warnings"][-1]
    assert main([*words, "--hold", "smile"]) == USAGE
    assert "'smile' is scored on faces framed as FFHQ" in capsys.readouterr().err


def contents(*names: str) -> dict[str, bytes]:
    """All files below these places."""
    files = [f for name in names for f in (Path(name), *Path(name).rglob("*")) if f.is_file()]
    return {str(file): file.read_bytes() for file in files if file.name != ".jaxinv.lock"}


def kept_until_asked(
    capsys: pytest.CaptureFixture[str], out: str, first: list[str], second: list[str]
) -> str:
    """What is said of `second`, which would replace what `first` has written at `out`."""
    assert main(first) == DONE
    before = contents(out)
    assert before
    assert main(first) == DONE, "the same again"
    assert contents(out) == before
    capsys.readouterr()
    assert main(second) != DONE
    said = capsys.readouterr().err
    assert contents(out) == before
    assert main([*second, "--overwrite"]) == DONE
    assert contents(out) != before
    return said


@pytest.mark.usefixtures("place")
def test_edits_replace_only_the_same_edits(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = [*EDIT, "--amount", "1"], [*EDIT, "--amount", "2"]
    said = kept_until_asked(capsys, "OUT", first, second)
    assert "OUT holds other edits (another amounts); allowed: the same again" in said
    assert main([*second[:3], "./OUT", *second[4:]]) == DONE  # the same folder by another name
    Path("OUT/images/a.png").unlink()  # as when it was interrupted
    Path("OUT/edits.jsonl").write_text("")
    assert main(second) == DONE
    assert len(lines()) == 2
    assert Path("OUT/images/a.png").is_file()
    Path("OUT/edits.json").write_text("{")
    assert main(second) == USAGE
    assert "another file" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_pasted_photographs_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-o", "PASTED", "--animate", "gif"]
    for name, amount in (("one", "1"), ("two", "2")):
        assert main(["edit", "run", "-o", name, "-d", "age", "--amount", amount]) == DONE
    first, second = ["paste", "one", *words], ["paste", "two", *words]
    said = kept_until_asked(capsys, "PASTED", first, second)
    assert "PASTED/a.png is there and holds something else" in said


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("out.png", ["mix", "--rows", "coarse"]),
        ("out.gif", ["interpolate", "--steps", "3"]),
        ("strip.png", ["interpolate", "--steps", "3"]),
        ("folder", ["interpolate", "--steps", "3"]),
    ],
)
@pytest.mark.usefixtures("place")
def test_what_lies_between_codes_is_kept(
    out: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (f"run/latents/{name}.safetensors" for name in "ab")
    first, second = ([*words, *ends, "-o", out] for ends in ((a, b), (b, a)))
    assert "holds something else" in kept_until_asked(capsys, out, first, second)


@pytest.mark.usefixtures("place")
def test_directions_are_kept_and_refused_before_anything_is_drawn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    find = ["discover", "sefa", "-g", "tiny", "-o", "d.safetensors"]
    assert main(find) == DONE
    before = contents("d.safetensors")
    assert main([*find, "--rows", "0"]) == USAGE
    assert "d.safetensors is there; allowed: another name" in capsys.readouterr().err
    assert main(["discover", "sefa", "-g", "nowhere", "-o", "d.safetensors"]) == USAGE
    assert "is there" in capsys.readouterr().err
    assert contents("d.safetensors") == before
    assert main([*find, "--rows", "0", "--overwrite"]) == DONE
    assert contents("d.safetensors") != before
    assert main([*find[:-1], "e.safetensors", "--count", "2"]) == DONE
    capsys.readouterr()
    assert main([*find[:-1], "e.safetensors", "--count", "3"]) == USAGE
    assert "e-00.safetensors is there" in capsys.readouterr().err
    out = ["directions", "-g", "tiny", "--export", "age", "-o", "age.npy"]
    assert main(out) == DONE
    assert main(out) == USAGE
    assert main([*out, "--overwrite"]) == DONE


@pytest.mark.usefixtures("place")
def test_tables_say_the_seed_of_their_samples(capsys: pytest.CaptureFixture[str]) -> None:
    common = ["discover", "-g", "tiny", "--samples", "12", "interfacegan"]
    draw = [*common, "--pictures", "samples", "--seed", "3"]
    assert "holds something else" in kept_until_asked(capsys, "samples", draw, [*draw[:-1], "4"])
    first, *rows = Path("samples/samples.csv").read_text("utf-8").splitlines()
    assert (first, rows[0], len(rows)) == ("picture,seed", "000000.png,4", 12)
    table = Path("samples/samples.csv")
    table.write_text("\n".join([f"{first},hat", *(f"{r},{i % 2}" for i, r in enumerate(rows))]))
    find = [*common, "--attribute", str(table), "--name", "hat", "-o", "hat.safetensors"]
    assert main([*find, "--seed", "3"]) == USAGE
    assert "samples.csv scores samples of seed 4.0, not of 3" in capsys.readouterr().err
    Path("scores.json").write_text(json.dumps({"hat": [0, 1] * 6, "seed": 4}))
    assert main([*common, "--attribute", "scores.json", "-o", "x.safetensors"]) == USAGE
    assert "scores.json scores samples of seed 4, not of 0" in capsys.readouterr().err
    assert (
        main([*common, "--keep", "scores.json", "--attribute", "luma", "-o", "x.safetensors"])
        == USAGE
    )
    assert "of seed 4" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["run", "run/images"])
@pytest.mark.usefixtures("place")
def test_the_results_of_a_run_are_no_place_for_a_walk(
    out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("run.json", "results.jsonl"):
        (Path("run") / name).touch()
    before = sorted(Path("run").rglob("*"))
    words = ["walk", "-g", "tiny", "-n", "2", "--between", "2", "--overwrite"]
    assert main([*words, "-o", out]) == USAGE
    assert f"{out} has the results of a run" in capsys.readouterr().err
    assert sorted(Path("run").rglob("*")) == before
