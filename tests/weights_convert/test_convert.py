"""Foreign generators: recognised by their arrays, converted whole or refused; their verbs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxinv.cli.console import DONE, USAGE
from jaxinv.cli.main import main
from jaxinv.io.checkpoints import read_metadata
from jaxinv.latents.sampling import sample_latents
from jaxinv.models import loading
from jaxinv.models.discriminators import chain
from jaxinv.models.discriminators.base import DISCRIMINATOR
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from jaxinv.specs import GeneratorSpec
from tests import torchlike as torch
from tests.weights import SHARED
from weights_convert import UnsafeFileError, convert, sources
from weights_convert.networks import chains
from weights_convert.networks.dcgan import face_discriminator
from weights_convert.sources import containers

DRAWS = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return DRAWS.standard_normal(shape).astype(np.float32)


def rosinality() -> dict[str, np.ndarray]:
    """The averaged generator of an 8-px StyleGAN2, w of 4, z of 3."""
    arrays = {"input.input": draw(1, 6, 4, 4)}
    for i, fan_in in enumerate((3, 4), start=1):
        arrays |= {f"style.{i}.weight": draw(4, fan_in), f"style.{i}.bias": draw(4)}
    for n, (name, inside, outside) in enumerate(
        (("conv1", 6, 6), ("convs.0", 6, 5), ("convs.1", 5, 5))
    ):
        arrays |= {
            f"{name}.conv.weight": draw(1, outside, inside, 3, 3),
            f"{name}.conv.modulation.weight": draw(inside, 4),
            f"{name}.conv.modulation.bias": draw(inside),
            f"{name}.noise.weight": draw(1),
            f"{name}.activate.bias": draw(outside),
            f"noises.noise_{n}": draw(1, 1, *((4, 4) if n == 0 else (8, 8))),
        }
    for name, width in (("to_rgb1", 6), ("to_rgbs.0", 5)):
        arrays |= {
            f"{name}.conv.weight": draw(1, 3, width, 1, 1),
            f"{name}.bias": draw(1, 3, 1, 1),
            f"{name}.conv.modulation.weight": draw(width, 4),
            f"{name}.conv.modulation.bias": draw(width),
        }
    binomial = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32)
    return arrays | {"convs.0.conv.blur.kernel": binomial / 16}


def digits() -> dict[str, np.ndarray]:
    """The state dict of a 28-px WGAN-GP."""
    arrays = {}
    sizes = ((5, 6, 3), (6, 4, 4), (4, 3, 3), (3, 1, 4))
    for i, (inside, outside, side) in enumerate(sizes):
        arrays |= {f"gen.{i}.0.weight": draw(inside, outside, side, side)}
        arrays |= {f"gen.{i}.0.bias": draw(outside)}
        if i < 3:
            arrays |= {f"gen.{i}.1.{end}": draw(outside) for end in ("weight", "bias")}
            arrays |= {f"gen.{i}.1.running_mean": draw(outside)}
            arrays |= {f"gen.{i}.1.running_var": 1 + draw(outside) ** 2}
    return arrays


def write(arrays: dict[str, np.ndarray], path: Path) -> Path:
    path.write_bytes(torch.zip_file(torch.state_dict(arrays), arrays))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "use_compilation_cache", lambda: None)
    return tmp_path / "cache"


def test_facts_are_read_from_the_arrays() -> None:
    found = sources.convert({"g_ema": rosinality(), "latent_avg": draw(4)})
    assert found.source == "StyleGAN2, rosinality"
    facts = found.facts
    assert (facts["resolution"], facts["z_dim"], facts["w_dim"], facts["rows"]) == (8, 3, 4, 4)
    assert facts["styles"] == [6, 6, 6, 5, 5]
    assert facts["noise"] == [4, 8, 8]
    assert set(found.params) == {"mapping", "synthesis"}
    assert found.params["mapping"]["average"].shape == (4,)


BROKEN = {
    "a strange array": ({"stranger": draw(2)}, "used by no rule: stranger"),
    "another filter": ({"convs.0.conv.blur.kernel": np.ones((4, 4), np.float32)}, "another filter"),
    "a wrong shape": ({"conv1.activate.bias": draw(7)}, "shape"),
    "not a number": ({"conv1.activate.bias": np.full(6, np.nan, np.float32)}, "not finite"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_generator_is_converted_whole_or_not_at_all(case: str) -> None:
    change, told = BROKEN[case]
    with pytest.raises(UnsafeFileError, match=told):
        sources.convert({"g_ema": rosinality() | change})


def test_every_missing_array_is_noticed() -> None:
    whole = rosinality()
    needed = [name for name in whole if not name.endswith("kernel")]
    for name in needed:
        with pytest.raises(UnsafeFileError):
            sources.convert({"g_ema": {k: v for k, v in whole.items() if k != name}})


@pytest.mark.parametrize(
    "tree", [{}, [], None, {"g_ema": {"a": draw(2)}}, (1, 2, 3), {"x": draw(1)}]
)
def test_trees_of_no_known_source_are_refused_by_name(tree: object) -> None:
    with pytest.raises(UnsafeFileError, match=r"no known generator .* it holds .*--formats"):
        sources.convert(tree)


def test_normalisation_is_folded_into_the_layer_before() -> None:
    arrays = digits()
    params = sources.convert(arrays).params["synthesis"]
    scale = arrays["gen.0.1.weight"] / np.sqrt(arrays["gen.0.1.running_var"] + 1e-5)
    kernel = arrays["gen.0.0.weight"][:, :, ::-1, ::-1].transpose(2, 3, 0, 1) * scale
    np.testing.assert_allclose(params["layer0"]["kernel"], kernel, rtol=1e-5)
    shift = (arrays["gen.0.0.bias"] - arrays["gen.0.1.running_mean"]) * scale
    np.testing.assert_allclose(
        params["layer0"]["bias"], shift + arrays["gen.0.1.bias"], rtol=1e-4, atol=1e-5
    )


# --- files and verbs ------------------------------------------------------------------------------


def test_a_converted_file_is_a_generator_by_its_name(cache: Path, tmp_path: Path) -> None:
    path = convert(write(digits(), tmp_path / "model.bin"), name="digits", alignment="ffhq")
    assert path == cache / "digits.safetensors"
    notes = read_metadata(path)
    assert notes["source"] == "WGAN-GP, digits (torch zip), model.bin"
    assert json.loads(notes["spec"])["alignment"] == "ffhq"
    gen, params = load_generator("digits")
    assert gen.spec.resolution == 28
    assert render(gen, params, sample_latents(gen, params, 2)).shape == (2, 28, 28, 3)


def test_the_verbs_convert_and_sample(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(digits(), tmp_path / "digits.pth")
    assert main(["convert", str(file)]) == DONE
    assert str(cache / "digits.safetensors") in capsys.readouterr().out
    grid = tmp_path / "grid.png"
    assert main(["sample", "digits", "-n", "5", "-o", str(grid)]) == DONE
    with Image.open(grid) as picture:
        assert picture.size == (3 * 28, 2 * 28)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["convert", "README.md"], "this is a text; `jaxinv convert --formats` lists"),
        (["convert", "{file}", "--name", "../up"], "name '../up'"),
        (["convert", "{file}", "-o", "out.pt"], "ends in .safetensors"),
        (["sample", "nobody", "-o", "grid.png"], "unknown generator 'nobody'"),
        (["sample", "digits", "-o", "grid.png", "--psi", "0.5"], "no W space"),
        (["sample", "digits", "-o", "grid.png", "--label", "1"], "has no classes"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], told: str, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del cache
    file = write(digits(), tmp_path / "digits.pth")
    convert(file)
    assert main([part.replace("{file}", str(file)) for part in arguments]) == USAGE
    said = capsys.readouterr()
    assert told in said.err
    assert len(said.err.splitlines()) == 1


def test_a_chain_that_judges_is_the_sum_of_its_parts() -> None:
    """32 px -> 16, 8, 4, 2 px -> one number, against loops over pixels."""
    widths = (3, 4, 4, 4, 6)
    arrays: dict[str, np.ndarray] = {}
    for i in range(4):
        arrays[f"discriminator.{i}.0.weight"] = 0.3 * draw(widths[i + 1], widths[i], 4, 4)
    arrays["discriminator.0.0.bias"] = draw(4)
    for i in (1, 2, 3):
        for part in ("weight", "bias", "running_mean"):
            arrays[f"discriminator.{i}.1.{part}"] = draw(widths[i + 1])
        arrays[f"discriminator.{i}.1.running_var"] = 1 + draw(widths[i + 1]) ** 2
    arrays |= {"discriminator.5.weight": draw(1, 24), "discriminator.5.bias": draw(1)}
    x = image = draw(3, 32, 32)
    for i in range(4):
        x = halved(x, arrays[f"discriminator.{i}.0.weight"])
        if i == 0:
            x = x + arrays["discriminator.0.0.bias"][:, None, None]
        else:
            gain, shift, mean, variance = (
                arrays[f"discriminator.{i}.1.{part}"][:, None, None]
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            x = (x - mean) / np.sqrt(variance + 1e-5) * gain + shift
        x = np.maximum(x, 0.2 * x)
    wanted = arrays["discriminator.5.weight"] @ x.ravel() + arrays["discriminator.5.bias"]

    steps = face_discriminator(arrays)
    assert steps is not None
    params, plan = chains.discriminator(arrays, steps, 32)
    facts = (("discriminator", (*plan[:2], tuple(map(tuple, plan[2])))),)
    found = chain.build(GeneratorSpec("d", "dcgan", 32, 8, facts=facts))
    score = found.scores({DISCRIMINATOR: params}, jnp.asarray(image.transpose(1, 2, 0)[None]))
    np.testing.assert_allclose(score, wanted, rtol=1e-4)


def halved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A convolution of 4x4 in steps of 2 with one pixel of zeros around, pixel by pixel."""
    wide, side = np.pad(x, [(0, 0), (1, 1), (1, 1)]), x.shape[1] // 2
    cells = [
        [
            np.einsum("ihw,oihw->o", wide[:, 2 * a : 2 * a + 4, 2 * b : 2 * b + 4], kernel)
            for b in range(side)
        ]
        for a in range(side)
    ]
    return np.asarray(cells).transpose(2, 0, 1)


def test_extra_layers_of_a_wasserstein_gan_keep_the_resolution() -> None:
    arrays = {"main.initial:5-4:convt.weight": draw(5, 4, 4, 4)}
    arrays["main.extra-layers-0:4:conv.weight"] = draw(4, 4, 3, 3)
    for name in ("initial", "extra-layers-0"):
        for part in ("weight", "bias", "running_mean"):
            arrays[f"main.{name}:4:batchnorm.{part}"] = draw(4)
        arrays[f"main.{name}:4:batchnorm.running_var"] = 1 + draw(4) ** 2
    arrays["main.final:4-3:convt.weight"] = draw(4, 3, 4, 4)
    found = sources.convert(arrays)
    assert found.source == "DCGAN, WassersteinGAN"
    assert found.facts["resolution"] == 8
    kinds = [layer[0] for layer in dict(found.facts["facts"])["layers"]]
    assert kinds == ["up", "conv", "up"]


@pytest.mark.parametrize("kind", ["mybn", "standing", "synchronised"])
def test_all_normalisations_of_ajbrocks_biggan_are_one(kind: str) -> None:
    file = SHARED / "fixtures" / "biggan-ajbrock" / "G_ema.pth"
    if not file.is_file():
        pytest.skip("needs shared/fixtures (set JAXINV_SHARED)")
    plain = containers.read_checkpoint(file).tree
    other: dict[str, np.ndarray] = {}
    for name, array in plain.items():
        base, _, leaf = name.rpartition(".")
        if not leaf.startswith("stored"):
            other[name] = array
        elif kind == "synchronised":
            other[f"{base}.bn.{leaf.replace('stored', 'running')}"] = array
            other[f"{base}.bn.num_batches_tracked"] = np.asarray(7)
        else:
            count = 3.0 if kind == "standing" else 0.0
            other[f"{base}.bn.{leaf}"] = array * (count or 1)
            other[f"{base}.bn.accumulation_counter"] = np.full(1, count, np.float32)
    ours, theirs = (sources.convert(tree).params for tree in (other, plain))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), ours, theirs)


def test_weights_of_another_file_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    one = write(digits(), tmp_path / "one.bin")
    other = tmp_path / "other" / "one.bin"
    other.parent.mkdir()
    other.write_bytes(one.read_bytes() + b"\0")
    path = convert(one, name="mine")
    before = path.read_bytes()
    assert convert(one, name="mine") == path
    with pytest.raises(ValueError, match="was not made of"):
        convert(other, name="mine")
    for name in ("ffhq", "alexnet"):
        with pytest.raises(ValueError, match="be pulled"):
            convert(one, name=name)
    assert path.read_bytes() == before
