"""What `jaxinv inspect` says: the card of a generator, and lists of arrays."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.io import checkpoints
from jaxinv.models.generators.weight_deltas import leaves
from jaxinv.models.loading import build
from jaxinv.runs.doctor import TINY, random_params
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Params
from tests.offline import save_weights
from tests.tiers import mostly_slow
from tests.tiny import CLASSES, GROWN, OLD, STYLE, THIRD

pytestmark = pytest.mark.usefixtures("quick_compilation")

FACTS = {
    "format": "jaxinv",
    "kind": "generator",
    "source": "somebody's file",
    "source_sha256": "ab" * 32,
    "licence": "first line\nsecond line",
}


def parameters(spec: GeneratorSpec) -> Params:
    gen = build(spec)
    params = random_params(gen)
    if gen.discriminator is not None:
        shapes = jax.eval_shape(gen.discriminator.init, jax.random.key(0))
        params["discriminator"] = jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes)
    return params


def said(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert main(["inspect", str(path), *options]) == DONE
    return capsys.readouterr().out.splitlines()


def saved(path: Path, spec: GeneratorSpec, params: Params, **more: str) -> Path:
    facts = FACTS | {"spec": json.dumps(asdict(spec))} | more
    return checkpoints.save(path, params, facts)


def test_the_card_of_a_stylegan2_with_its_discriminator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = parameters(STYLE)
    digest = checkpoints.content_sha256(params)
    path = saved(tmp_path / "a.safetensors", STYLE, params, content_sha256=digest)
    judge = params.pop("discriminator")
    own, beside = (sum(a.size for a in jax.tree.leaves(tree)) for tree in (params, judge))
    assert said(path, capsys) == [
        "style: stylegan2, 16 px",
        "  spaces        z     8, normal",
        "                z+    6 rows of 8",
        "                w     8",
        "                w+    6 rows of 8",
        "                s     100 in 8 styles",
        "                noise 5 maps, 4 to 16 px",
        "  classes       none",
        "  average of w  measured when it is loaded",
        "  truncation    draws w towards its average",
        "  discriminator progressive, 3 steps, compares groups of 4 images",
        f"  parameters    {own:,} in {len(jax.tree.leaves(params))} arrays, "
        "noise and statistics included",
        f"                and {beside:,} of the discriminator",
        "  alignment     none",
        "  source        somebody's file",
        f"  its SHA-256   {'ab' * 32}",
        f"  contents      SHA-256 {digest}",
        "  licence       first line",
        "                second line",
        "  cuts (steps) and the features after them",
        "    b4_conv1        x 4 x 4 x 16, image 4 x 4 x 3",
        "    b8_conv0        x 8 x 8 x 12, image 4 x 4 x 3",
        "    b8_conv1        x 8 x 8 x 12, image 8 x 8 x 3",
        "    b16_conv0       x 16 x 16 x 8, image 8 x 8 x 3",
        "    b16_conv1       x 16 x 16 x 8, image 16 x 16 x 3",
    ]


def test_the_card_of_a_generator_of_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = parameters(CLASSES)
    plain = said(saved(tmp_path / "a", CLASSES, params), capsys)
    assert plain[1:5] == [
        "  spaces        z     9, normal",
        "  classes       10, each a vector of 4",
        "  truncation    scales z",
        "  discriminator none",
    ]
    assert "    attention0      x 8 x 8 x 16, attention 64 x 16" in plain
    params["synthesis"]["norm"]["means"] = np.zeros((51, 8))
    tables = said(saved(tmp_path / "b", CLASSES, params), capsys)
    assert tables[3] == "  truncation    scales z and chooses among statistics for 51 values"


@pytest.mark.parametrize("spec", mostly_slow([TINY, THIRD, GROWN, CLASSES], [GROWN, CLASSES]))
def test_cuts_have_the_shapes_of_features_that_are_drawn(
    spec: GeneratorSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gen, params = build(spec), parameters(spec)
    lines = said(saved(tmp_path / "a", spec, params), capsys)
    latents = {"z": jnp.ones(spec.z_dim)} | ({"label": jnp.ones(10)} if spec.labels else {})
    drawn = gen.features(params, latents)
    first = lines.index("  cuts (steps) and the features after them") + 1
    found = [line.split(maxsplit=1) for line in lines[first:]]
    assert [name for name, _ in found] == list(gen.steps)
    for name, text in found:
        shapes = dict(part.split(" ", 1) for part in text.split(", "))
        assert shapes == {
            key: " x ".join(map(str, array.shape)) for key, array in drawn[name].items()
        }


def test_a_stored_average_a_foreign_digest_and_strange_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = parameters(OLD)
    params["mapping"]["average"] = np.zeros(8)
    more = {"content_sha256": "cd" * 32, "source": "a\x1b[31m\N{SNOWMAN}"}
    lines = said(saved(tmp_path / "a", OLD, params, **more), capsys)
    assert "  average of w  in the file" in lines
    assert f"                DAMAGED: {'cd' * 32} is recorded" in lines
    assert "  source        a\\x1b[31m\N{SNOWMAN}" in lines


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architecture": "cubist"}, "'cubist'; allowed: autoencoder-kl, biggan"),
        ({"facts": []}, "mapping_layers"),
        ({"styles": 7}, "spec.styles is 7; allowed: a list"),
        ({"size": 7}, "size"),
    ],
)
def test_facts_that_fit_no_generator_are_one_line(
    change: dict, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = FACTS | {"spec": json.dumps(asdict(OLD) | change)}
    checkpoints.save(tmp_path / "a", parameters(OLD), facts)
    assert main(["inspect", str(tmp_path / "a")]) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_arrays_are_listed_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = parameters(TINY)
    save_weights(tmp_path / "a", params, "generator", spec=asdict(TINY))
    short, long = said(tmp_path / "a", capsys), said(tmp_path / "a", capsys, "--arrays")
    assert long[: len(short)] == short
    listed = [line.split()[0] for line in long[len(short) :]]
    assert listed == sorted("/".join(path) for path, _ in leaves(params))
    assert "  synthesis/first/kernel float32 [3, 3, 16, 16]" in long


def test_other_files_show_their_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_weights(tmp_path / "a", {"conv1": {"bias": np.ones(3, np.float32)}}, "features")
    short = said(tmp_path / "a", capsys)
    assert "kind: features" in short
    assert short[-1] == "parameters: 3"
    assert said(tmp_path / "a", capsys, "--arrays") == [*short, "  conv1/bias float32 [3]"]
