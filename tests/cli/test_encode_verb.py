"""`jaxinv encode` and `invert --init`: a folder in, the results of every verb out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.encoders.encoding import encode
from jaxinv.encoders.loading import save_encoder
from jaxinv.encoders.networks import build
from jaxinv.io.checkpoints import content_sha256
from jaxinv.io.images import read_images
from jaxinv.io.latent_files import load_latents
from jaxinv.models.loading import load_generator
from jaxinv.specs.encoders import EncoderSpec
from tests.offline import go_offline, read_results, tiny_params, write_photos
from tests.tiny_encoders import LOOK, drawn


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


def saved(cache: Path, name: str, spec: EncoderSpec = LOOK, digest: str | None = None) -> str:
    digest = content_sha256(tiny_params()) if digest is None else digest
    encoder = build(replace(spec, name=name, generator=digest))
    save_encoder(cache / f"{name}.safetensors", encoder, drawn(spec)[1], generator="tiny")
    return name


def test_pictures_are_encoded_with_all_that_a_run_leaves(cache: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ["a.png", "b.png"])
    (photos / "c.png").write_bytes((photos / "a.png").read_bytes()[:60])
    name = saved(cache, "look")
    assert main(["encode", str(photos), "-e", name, "-o", str(tmp_path / "out")]) != DONE
    lines = {line["name"]: line for line in read_results(tmp_path / "out")}
    assert [lines[key]["status"] for key in "abc"] == ["ok", "ok", "skipped"]
    assert (lines["a"]["verb"], lines["a"]["generator"]) == ("encode", "tiny")
    assert lines["a"]["evaluations"] == 1
    assert lines["a"]["loss"] is None
    assert lines["a"]["psnr"] > 0
    found, facts = load_latents(tmp_path / "out" / "latents" / "b.safetensors")
    seen = read_images([photos / "b.png"])
    wanted = encode(seen, name, generator=load_generator("tiny"))
    np.testing.assert_array_equal(found["w+"], wanted["w+"][0])
    assert facts["verb"] == "encode"
    for place in ("images/a.png", "report.html", "run.json"):
        assert (tmp_path / "out" / place).is_file()


def test_encoders_that_cannot_serve_are_refused(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = write_photos(tmp_path / "photos", ["a.png"]), tmp_path / "out"
    other = saved(cache, "other", digest="0" * 64)
    look = saved(cache, "look")
    for arguments, told in (
        (["encode", "-e", other], "made for another generator (000000000000) than 'tiny'"),
        (["encode", "-e", "tiny"], "not an encoder: kind 'generator'"),
        (["encode", "-e", "nowhere"], "weights 'nowhere' are not in"),
        (["encode", "-e", look, "--passes", "2"], "looks once; passes allowed: 1"),
        (["encode", "-e", look, "--attribute", "0.5"], "sees no 'attribute'"),
        (["invert", "-g", "tiny", "--init", look], "init 'look'; allowed: encoder:NAME"),
        (["invert", "-g", "tiny", "--init", f"encoder:{other}"], "made for another generator"),
    ):
        verb, *rest = arguments
        assert main([verb, str(photos), "-o", str(out), *rest]) == USAGE
        assert told in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_from_an_encoder_begins_at_its_code(cache: Path, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", ["a.png"])
    name = saved(cache, "look")
    run = ["invert", str(photos), "-g", "tiny", "-p", "pixels", "--init", f"encoder:{name}"]
    assert main([*run, "--steps", "1", "-o", str(tmp_path / "out")]) == DONE
    found, _ = load_latents(tmp_path / "out" / "latents" / "a.safetensors")
    wanted = encode(read_images([photos / "a.png"]), name, generator=load_generator("tiny"))
    np.testing.assert_allclose(found["w+"], wanted["w+"][0], atol=1e-4)
