"""What comes with the package: a generator with its discriminator, and pictures for it."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxinv.cli.console import DONE
from jaxinv.cli.main import main
from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import PACKAGED, packaged_names, weights_file
from jaxinv.io.files import find_images
from jaxinv.models.loading import load_generator
from jaxinv.models.weights import read_weights

MOST = 6_000_000  # bytes of all that is packaged


@pytest.fixture
def nothing_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with nothing in it."""
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.usefixtures("nothing_pulled")
def test_avatars_is_there_without_a_download() -> None:
    assert packaged_names() == ("avatars", "avatars-labels")
    assert packaged_names("generator") == ("avatars",)
    assert weights_file("avatars").parent == PACKAGED
    params, facts = read_weights(weights_file("avatars"))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
    assert json.loads(facts["spec"])["name"] == "avatars"
    assert "CC0" in facts["licence"]
    assert sum(path.stat().st_size for path in PACKAGED.rglob("*") if path.is_file()) < MOST
    with pytest.raises(ValueError, match="there: none"):
        weights_file("nobody")


def test_weights_of_that_name_in_the_cache_come_first(nothing_pulled: Path) -> None:
    own = nothing_pulled / "cache" / "avatars.safetensors"
    checkpoints.save(own, {"a": np.zeros(1)})
    assert weights_file("avatars") == own


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_pulled")
def test_its_discriminator_tells_its_pictures_from_noise() -> None:
    gen, params = load_generator("avatars")
    judge = gen.discriminator
    assert judge is not None
    z = jax.random.normal(jax.random.key(0), (16, gen.spec.z_dim))
    drawn = jax.vmap(lambda one: gen.synthesize(params, {"z": one}))(z)
    noise = jax.random.uniform(jax.random.key(1), drawn.shape, minval=-1, maxval=1)
    scores = [np.asarray(judge.scores(params, few)) for few in (drawn, noise)]
    assert scores[0].min() > scores[1].max()


@pytest.mark.slow
def test_the_demo_inverts_the_packaged_pictures(
    nothing_pulled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = nothing_pulled / "out"
    assert main(["demo", "-o", str(out)]) == DONE
    assert "8 images inverted, 0 failed" in capsys.readouterr().out
    assert len(find_images([str(out / "images")])) == len(find_images([str(PACKAGED / "avatars")]))
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert all(line["loss"] < 0.06 for line in lines)  # squares; random pictures differ by 0.4
