"""`train-encoder`: a run that can be looked at with, that resumes exactly, and what it refuses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.cli.main import main
from jaxinv.encoders.loading import RUN_FILE, load_encoder
from jaxinv.io.images import encode_png
from jaxinv.presets import ENCODERS
from jaxinv.specs import EncoderPlan, PictureSource, SolverSpec, Term
from jaxinv.specs.serialization import to_json
from jaxinv.training.logs import read_log
from jaxinv.training.stylegan2 import save_generator
from tests.tiny import STYLE, draw, style

pytestmark = pytest.mark.usefixtures("quick_compilation")
PLAIN = replace(
    ENCODERS["encoder"],
    plan=EncoderPlan(
        "dcgan", "dcgan-dense", side=16, resize="area", facts=(("width", 8), ("last", 4))
    ),
    terms=(Term("latent", 1.0, variable="w+"), Term("mse", 0.5)),
    solver=SolverSpec("adam", 3e-3),
    batch=8,
    steps=200,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache folder with one generator."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    params = {name: style()[1][name] for name in ("mapping", "synthesis")}
    spec = replace(STYLE, facts=tuple(f for f in STYLE.facts if f[0] != "discriminator"))
    save_generator(tmp_path / "g.safetensors", spec, params)


def command(tmp_path: Path, out: str, *others: str, preset: Any = PLAIN) -> list[str]:
    (tmp_path / "p.json").write_text(to_json(preset), "utf-8")
    words = ["train-encoder", str(tmp_path / "p.json"), "-g", str(tmp_path / "g.safetensors")]
    return [*words, "-o", str(tmp_path / out), "--held", "8", *others]


@pytest.mark.slow
def test_a_run_learns_and_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    steps = ("--save-every", "40", "--validate-every", "100", "--log-every", "40")
    assert main(command(tmp_path, "run", *steps)) == 0
    encoder, params = load_encoder(str(tmp_path / "run"))
    assert encoder.spec.shape == (STYLE.rows, STYLE.w_dim)
    assert len(encoder.spec.generator) == 64
    lines = [line for line in read_log(tmp_path / "run") if "validation" in line]
    assert lines[-1]["validation"] < 0.5 * read_log(tmp_path / "run")[0]["loss"]
    assert lines[-1]["psnr"] > lines[0]["psnr"]
    first = (tmp_path / "run" / RUN_FILE).read_bytes()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "00000200")  # as if it had been killed
    assert main(command(tmp_path, "run", *steps)) == 0
    assert (tmp_path / "run" / RUN_FILE).read_bytes() == first
    assert params["params"]


@pytest.mark.slow
def test_pictures_of_files_have_no_known_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faces").mkdir()
    for number, picture in enumerate(draw(style(), 3, 12)):
        pixels = np.rint(np.clip(picture + 1, 0, 2) * 127.5).astype(np.uint8)
        (tmp_path / "faces" / f"{number}.png").write_bytes(encode_png(pixels))
    (tmp_path / "faces" / "bad.png").write_bytes(b"no picture")
    given = ("--data", str(tmp_path / "faces"), "--steps", "4")
    assert main(command(tmp_path, "run", *given)) == 3
    said = capsys.readouterr().err
    assert "latent-w+ is left out" in said
    assert "bad.png" in said
    assert load_encoder(str(tmp_path / "run"))[0].spec.name == "encoder"
    known = replace(PLAIN, source=replace(PLAIN.source, kind="synthetic"))
    assert main(command(tmp_path, "other", *given, preset=known)) == 2
    assert "learns known codes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_mixed_batch_has_drawn_and_real_pictures_and_goes_on_from_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "trained").mkdir()
    (tmp_path / "g.safetensors").rename(tmp_path / "trained" / "generator.safetensors")
    for number, picture in enumerate(draw(style(), 3, 8)):
        pixels = np.rint(np.clip(picture + 1, 0, 2) * 127.5).astype(np.uint8)
        (tmp_path / "faces" / f"{number}.png").write_bytes(encode_png(pixels))
    terms = (Term("latent", 1.0, variable="w+", when="drawn"), Term("mse", 0.5))
    mixed = replace(PLAIN, terms=terms, source=PictureSource("mixed", drawn=0.25))
    place = str(tmp_path / "trained")
    given = ("--data", str(tmp_path / "faces"), "--steps", "3", "-g", place, "--log-every", "1")
    assert main(command(tmp_path, "first", *given, preset=mixed)) == 0
    lines = read_log(tmp_path / "first")
    assert {"latent-w+-drawn", "mse"} <= set(lines[0])
    assert "left out" not in capsys.readouterr().err
    assert main(["status", str(tmp_path / "first")]) == 0
    said = capsys.readouterr().out
    assert "done, 3 of 3 steps, validation " in said
    again = ("--from", str(tmp_path / "first"), "--rate", "1e-9")
    assert main(command(tmp_path, "second", *given, *again, preset=mixed)) == 0
    before, after = (
        load_encoder(str(tmp_path / name))[1]["params"] for name in ("first", "second")
    )
    gaps = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, after)
    assert max(jax.tree.leaves(gaps)) < 1e-6
    alone = ("--batch", "1", "--data", str(tmp_path / "faces"), "-g", place)
    assert main(command(tmp_path, "third", *alone, preset=mixed)) == 2
    assert "a mixed batch of 1; allowed: at least 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train-encoder", "pspp"], "unknown preset of an encoder 'pspp'; allowed: encoder, start"),
        (["train-encoder", "psp", "--without", "mse"], "unknown term of preset 'psp' 'mse'"),
        (
            ["train-encoder", "psp", "--without", "lpips-alexnet@256"],
            "net 'arcface-ir' is missing: run `jaxinv convert FILE --name arcface-ir`",
        ),
        (
            ["train-encoder", "encoder", "--stored", "5", "--data", "."],
            "--stored with --data .; allowed: --data synthetic",
        ),
        (["train-encoder", "wei-refine"], "encoder before 'wei-refine': none; allowed: one of"),
        (
            ["train-encoder", "psp", "--without", "identity"],
            "'psp' 'identity'; allowed: mse@256, lpips-alexnet@256, embedding-arcface-ir@256",
        ),
        (
            ["train-encoder", "ganseeing-encoder"],
            "goes on from one of 'ganseeing-layers'; allowed: --from RUN (`jaxinv train-encoder",
        ),
        (["train-encoder", "ganseeing-layers"], "'ganseeing-layers' inverts the layers of dcgan"),
        (["train-encoder", "icgan-y"], "'icgan-y' gives label, which generator 'style' has not"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = ["-g", str(tmp_path / "g.safetensors"), "-o", str(tmp_path / "run"), "--steps", "2"]
    assert main([*words, *others]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()
