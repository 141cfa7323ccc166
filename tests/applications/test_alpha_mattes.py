"""Mattes: what is said of them alone, what a second generator teaches, and files and refusals."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxinv.applications.alpha_mattes import (
    MatteNet,
    MatteSettings,
    learn_mattes,
    load_mattes,
    mattes,
    over,
    plain_loss,
    save_mattes,
)
from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.edits.discovery.training import Training
from jaxinv.io.latent_files import save_latents
from jaxinv.models.discriminators.base import DISCRIMINATOR, Discriminator
from jaxinv.models.generators.base import Synthesis, from_z
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Array
from tests.edits.renderer import SIDE, blob, codes, factors, renderer
from tests.tiny import Pair, classes, style

pytestmark = pytest.mark.usefixtures("quick_compilation")


class Plain(nn.Module):
    """Pictures of one grey, as the renderer's backgrounds are."""

    steps = ("colour",)

    def setup(self) -> None:
        self.middle = self.param("middle", nn.initializers.constant(-0.5), ())

    def step(self, index: int, state: Any, code: Array, noise: Any) -> Any:
        grey = self.middle + 0.4 * jnp.tanh(0.8 * code[0] / 2)
        return {"x": jnp.broadcast_to(grey, (SIDE, SIDE, 3))}

    def finish(self, state: Any, code: Array, size: int) -> Array:
        return state["x"][:size, :size]


@lru_cache
def backgrounds() -> Pair:
    spec = GeneratorSpec("plain", "plain", SIDE, z_dim=1)
    gen = from_z(spec, Synthesis(Plain(), jnp.ones(1)))
    return gen, gen.init(jax.random.key(0))


@lru_cache
def figures() -> Pair:
    """The renderer, judged by where the grey of the corner is not that of other greys."""
    gen, params = renderer()

    def seen(params: Any, image: Array, state: Any, span: Any) -> Any:
        x = jax.lax.conv_general_dilated(
            image[None], params[DISCRIMINATOR]["kernel"], (1, 1), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )[0]  # fmt: skip
        return {"x": jax.nn.relu(x)}

    judge = Discriminator(
        ("look",),
        lambda key: {},
        seen,
        lambda params, x, deviation, label: jnp.sum(x.mean((0, 1)) * params[DISCRIMINATOR]["out"]),
    )
    keys = jax.random.split(jax.random.key(1), 2)
    kernel = 0.3 * jax.random.normal(keys[0], (5, 5, 3, 24))
    weights = {"kernel": kernel, "out": jax.random.normal(keys[1], (24,))}
    return gen._replace(discriminator=judge), {**params, DISCRIMINATOR: weights}


def truth(w: np.ndarray) -> np.ndarray:
    found = factors(renderer(), w)[:, :5]
    return np.stack([np.asarray(blob(jnp.asarray(one))) for one in found])


def test_what_is_said_of_mattes_alone_is_nothing_for_good_ones() -> None:
    settings = MatteSettings(figure=0.25, background=0.35, background_weight=2.0)
    good = jnp.zeros((2, 4, 4)).at[:, :2].set(1.0)
    assert float(plain_loss(good, settings)) == 0
    assert float(plain_loss(jnp.full((1, 4, 4), 0.5), settings)) == pytest.approx(0.5)
    assert float(plain_loss(jnp.ones((1, 4, 4)), settings)) == pytest.approx(2 * 0.35)
    assert float(plain_loss(jnp.zeros((1, 4, 4)), settings)) == pytest.approx(0.25)


def test_a_figure_stands_before_a_background_by_its_matte() -> None:
    figure, behind = np.ones((2, 3, 3, 3)), np.zeros((3, 3, 3))
    alpha = np.random.default_rng(0).random((2, 3, 3))
    np.testing.assert_allclose(over(figure, alpha, behind), np.repeat(alpha[..., None], 3, -1))


@pytest.mark.slow
def test_a_second_generator_teaches_what_is_a_figure() -> None:
    gen, params = figures()
    settings = MatteSettings(batch=16, figure=0.2, background=0.5)
    made = learn_mattes(gen, params, backgrounds(), settings=settings, training=Training(100, 3e-3))
    w = codes(20, 5)
    alpha, true = mattes(gen, params, made, {"w": w}), truth(w)
    # The edge of the blob is soft; where it is mixed of both colours, it belongs to the figure.
    both = ((alpha > 0.5) & (true > 0.25)).sum()
    assert both / ((alpha > 0.5) | (true > 0.25)).sum() > 0.8
    assert np.minimum(alpha, 1 - alpha).mean() < 0.1


def test_a_net_is_learned_saved_and_read_again(tmp_path: Path) -> None:
    gen, params = figures()
    training = Training(3, 1e-3)
    made = learn_mattes(gen, params, backgrounds(), training=training)
    again = learn_mattes(gen, params, backgrounds(), training=training)
    np.testing.assert_array_equal(made.net["fc0"]["kernel"], again.net["fc0"]["kernel"])
    file = save_mattes(tmp_path / "net.safetensors", made, "renderer")
    read, name = load_mattes(file)
    assert name == "renderer"
    expected = mattes(gen, params, made, {"w": codes(2)})
    assert expected.shape == (2, SIDE, SIDE)
    assert expected.min() >= 0
    assert expected.max() <= 1
    np.testing.assert_array_equal(mattes(gen, params, read, {"w": codes(2)}), expected)
    for broken in (read._replace(size=2), read._replace(std=read.std[:1])):
        save_mattes(file, broken, "renderer")
        with pytest.raises(ValueError, match="no usable mattes"):
            load_mattes(file)
    save_latents(file, {"w": codes(1)[0]}, {})
    with pytest.raises(ValueError, match="allowed: 'mattes'"):
        load_mattes(file)
    with pytest.raises(ValueError, match=r"a net of 5 features; allowed: 5[0-9]"):
        mattes(*style(), made, {"w": np.zeros((1, 8), np.float32)})


def test_mattes_are_enlarged_to_the_picture() -> None:
    gen, params = figures()
    made = learn_mattes(gen, params, backgrounds(), size=8, training=Training(1, 1e-3))
    assert mattes(gen, params, made, {"w": codes(1)}).shape == (1, SIDE, SIDE)


def small(pair: Pair) -> Pair:
    return pair[0]._replace(spec=replace(pair[0].spec, resolution=8)), pair[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"figures": renderer()}, "comes without its discriminator"),
        ({"figures": (figures()[0], renderer()[1])}, "comes without its discriminator"),
        ({"background": classes()}, "draws classes"),
        ({"background": small(backgrounds())}, "backgrounds of 8 px; allowed: at least 16"),
        ({"size": 2}, "size"),
    ],
)
def test_generators_that_cannot_teach_are_refused(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"figures": figures(), "background": backgrounds()} | change
    (gen, params), behind = given.pop("figures"), given.pop("background")
    with pytest.raises(ValueError, match=words):
        learn_mattes(gen, params, behind, **given)


def test_shares_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match="less than 1 together"):
        MatteSettings(figure=0.6, background=0.5)
    with pytest.raises(ValueError, match="batch"):
        MatteSettings(batch=0)


def test_figures_are_cut_out_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run/latents").mkdir(parents=True)
    for name in "ab":
        save_latents(
            f"run/latents/{name}.safetensors",
            {"w": np.zeros(128, np.float32)},
            {"generator": "avatars"},
        )
    Path("run/latents/c.safetensors").write_bytes(b"torn")
    net = MatteNet(
        {"fc0": {"kernel": np.zeros((432, 1), np.float32), "bias": np.full(1, -9.0, np.float32)}},
        np.zeros(432, np.float32),
        np.ones(432, np.float32),
        32,
    )
    save_mattes("net.safetensors", net, "avatars")
    assert main(["mattes", "run", "--net", "net.safetensors", "-o", "out"]) == SOME_FAILED
    assert "c.safetensors" in capsys.readouterr().err
    cut = np.asarray(Image.open("out/figures/a.png"))
    assert cut.shape == (32, 32, 4)
    assert cut[..., 3].max() < 2  # nothing is a figure here
    assert np.asarray(Image.open("out/mattes/b.png")).shape == (32, 32)
    assert main(["mattes", "run", "-o", "out"]) == USAGE
    assert "neither; allowed: one of them" in capsys.readouterr().err
    words = ["mattes", "run", "--background", "avatars", "-o", "new", "--least-figure", "0.8"]
    assert main(words) == USAGE
    assert "less than 1 together" in capsys.readouterr().err
    assert not Path("new").exists()


@pytest.mark.slow
def test_mattes_are_learned_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_latents("a.safetensors", {"w": np.zeros(128, np.float32)}, {"generator": "avatars"})
    words = ["mattes", "a.safetensors", "--background", "avatars", "--steps", "2", "-o", "out"]
    assert main(words) == DONE
    assert load_mattes("out/mattes.safetensors")[1] == "avatars"
    assert main(["mattes", "a.safetensors", "--net", "out/mattes.safetensors", "-o", "b"]) == DONE
    assert Path("b/mattes/a.png").read_bytes() == Path("out/mattes/a.png").read_bytes()
