"""Canvases: patches and wholes, any width, what is refused, and photographs continued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxinv.applications.canvas import (
    canvas,
    draw_canvas,
    extend,
    noise_around,
    random_codes,
    seams,
    shares,
)
from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.inversion.invert import invert
from jaxinv.io.image_ops import to_uint8
from jaxinv.io.images import encode_png
from jaxinv.models.loading import build
from jaxinv.specs import GeneratorSpec
from tests.tiers import mostly_slow
from tests.tiny import Pair, chain, classes, grown, linear, mobile, old, style, third

pytestmark = pytest.mark.usefixtures("quick_compilation")
PLAIN = GeneratorSpec(
    "plain", "dcgan", 16, z_dim=6,
    facts=(("layers", (("up", 8, "relu", 0, 4, 1, 0), ("up", 6, "relu", 0, 4, 2, 1),
                       ("up", 3, "tanh", 0, 4, 2, 1))),),
)  # fmt: skip
DENSE = replace(
    PLAIN,
    name="dense",
    facts=(("layers", (("dense", 8, "relu"), ("dense", 768, "tanh"), ("reshape", 3, "none", 16))),),
)


def plain(spec: GeneratorSpec = PLAIN) -> Pair:
    gen = build(spec)
    return gen, gen.init(jax.random.key(0))


LOCAL = {"stylegan2": style, "mobilestylegan": mobile, "dcgan": plain, "pggan": grown}


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("width", [4, 12, 48])
def test_shares_of_codes_add_up_and_are_whole_in_the_middle_of_tiles(
    width: int, tiles: int
) -> None:
    found = shares(width, tiles)
    np.testing.assert_allclose(found.sum(0), 1)
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-12)
    side = width // tiles
    middle = found[2, (tiles // 2) * side :][:side]
    assert (middle >= 0.5).all()
    if side >= 8:
        np.testing.assert_allclose(middle[side // 4 : -(side // 4)], 1)


@pytest.mark.parametrize("name", mostly_slow(LOCAL, fast=("dcgan",)))
def test_a_patch_does_not_see_codes_that_are_far(name: str) -> None:
    gen, params = LOCAL[name]()
    codes = random_codes(gen, params, 7, psi=1.0)
    (space, held), side = next(iter(codes.items())), gen.spec.resolution
    drawn = draw_canvas(gen, params, codes)
    assert drawn.shape == (side, 7 * side, 3)
    assert np.isfinite(drawn).all()
    other = held.copy()
    other[0] += 1.0
    changed = np.abs(draw_canvas(gen, params, {space: other}) - drawn).max((0, 2))
    assert changed[:side].max() > 1e-4
    np.testing.assert_array_equal(changed[3 * side :], 0)
    # A canvas that goes on is the same where it was, to the tile before its end.
    longer = {space: np.concatenate([held, held[:2]])}
    again = draw_canvas(gen, params, longer, middle=3)
    np.testing.assert_array_equal(again[:, : 5 * side], drawn[:, : 5 * side])


@pytest.mark.slow
def test_patches_that_are_drawn_alone_fit_each_other() -> None:
    gen, params = style()
    codes = random_codes(gen, params, 6, psi=1.0, seed=2)
    drawn = draw_canvas(gen, params, codes)
    # The same columns, once as the right third of one patch and once as the middle of the next:
    # beyond the reach of borders, three tiles at once draw what each draws alone.
    wide, rows = canvas(gen), jnp.asarray(codes["w+"])
    side = gen.spec.resolution
    given = {"w+": rows[:5].reshape(-1, 8), "noise": noise_around(gen, params, -1)}
    state = wide.prefix(params, given, gen.steps[-1])["image"]
    assert state.shape == (side, 3 * side, 3)
    np.testing.assert_allclose(state[:, side : 2 * side], drawn[:, 2 * side : 3 * side], atol=1e-5)
    near = state[:, 2 * side : 2 * side + 2]
    np.testing.assert_allclose(near, drawn[:, 3 * side : 3 * side + 2], atol=0.02)


def test_equal_codes_draw_equal_tiles() -> None:
    gen, params = style()
    quiet = jax.tree_util.tree_map_with_path(
        lambda path, a: jnp.zeros_like(a) if path[-1].key == "strength" else a, params
    )
    w = np.repeat(random_codes(gen, params, 1)["w+"], 7, axis=0)
    tiles = np.split(draw_canvas(gen, quiet, {"w+": w}), 7, axis=1)
    np.testing.assert_allclose(tiles[3], tiles[2], atol=1e-5)
    np.testing.assert_allclose(tiles[4], tiles[2], atol=1e-5)


def test_seams_tell_an_edge_from_none() -> None:
    slope = np.broadcast_to(np.linspace(-1, 1, 24)[None, :, None], (8, 24, 3))
    np.testing.assert_allclose(seams(slope), 1)
    edge = slope.copy()
    edge[:, 8:] += 1
    assert seams(edge)[0] > 10
    assert seams(edge)[1] == pytest.approx(1)


@pytest.mark.slow
def test_the_generator_of_a_patch_is_searched_like_any_other() -> None:
    gen, params = style()
    wide = canvas(gen)
    assert wide is canvas(gen)
    known = random_codes(gen, params, 5, psi=1.0, seed=4)["w+"].reshape(1, -1, 8)
    image = np.clip(np.asarray(wide.synthesize(params, {"w+": known[0]})), -1, 1)[None]
    found = invert(wide, params, image, preset="in-and-out", steps=60)
    assert found.losses[0, 0, -1] < 0.3 * found.losses[0, 0, 0]
    assert found.latents["w+"].shape == known.shape


@pytest.mark.parametrize("name", mostly_slow(("stylegan2", "dcgan"), fast=("dcgan",)))
def test_a_photograph_goes_on_to_both_sides(name: str) -> None:
    gen, params = LOCAL[name]()
    side = gen.spec.resolution
    photos = np.random.default_rng(0).uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    preset = "in-and-out" if gen.spec.w_dim else "z"
    found = extend(gen, params, photos, 5, preset=preset, steps=4)
    assert found.images.shape == (2, side, 5 * side, 3)
    assert found.seams.shape == (2, 4)
    inside = slice(2 * side + side // 8, 3 * side - side // 8)
    np.testing.assert_allclose(
        found.images[:, :, inside], photos[:, :, side // 8 : -(side // 8)], atol=1e-6
    )
    (held,) = found.latents.values()
    assert held.shape[:2] == (2, 5)
    plainly = extend(gen, params, photos, 5, preset=preset, steps=4, keep=False)
    again = draw_canvas(gen, params, {k: v[0] for k, v in plainly.latents.items()})
    np.testing.assert_allclose(again[:, side:-side], plainly.images[0][:, side:-side], atol=1e-5)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (classes, "has classes; allowed for a canvas: stylegan2, mobilestylegan, dcgan, pggan"),
        (old, "architecture 'stylegan1'"),
        (third, "architecture 'stylegan3'"),
        (linear, "architecture 'linear'"),
        (chain, "has attention"),
        (lambda: plain(DENSE), "layers that see all of a picture"),
    ],
)
def test_generators_of_one_size_are_refused_by_name(pair: Any, words: str) -> None:
    gen, params = pair()
    with pytest.raises(ValueError, match=words):
        draw_canvas(gen, params, {"z": np.zeros((1, gen.spec.z_dim), np.float32)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tiles": 4}, "tiles 4; allowed: an odd number"),
        ({"tiles": 1}, "tiles"),
        ({"images": np.zeros((1, 8, 8, 3), np.float32)}, r"allowed: \[B, 16, 16, 3\]"),
        ({"preset": "faithful"}, "preset 'faithful' moves weights; allowed: codes"),
        ({"preset": "image2stylegan++"}, "moves noise; allowed: codes"),
    ],
)
def test_what_cannot_be_continued_is_refused(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"images": np.zeros((1, 16, 16, 3), np.float32)} | change
    with pytest.raises(ValueError, match=words):
        extend(*style(), **given)


def test_latents_that_hold_more_than_codes_are_refused() -> None:
    gen, params = style()
    noise = tuple(np.ones((2, side, side), np.float32) for side in gen.spec.noise)
    with pytest.raises(ValueError, match="latents hold noise; allowed: codes"):
        draw_canvas(gen, params, {"w": np.zeros((2, 8), np.float32), "noise": noise})


def test_impossible_widths_are_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["extend", "none.png", "-g", "avatars", "-o", "out"]
    assert main([*words, "--tiles", "4"]) == USAGE
    assert "odd number" in capsys.readouterr().err
    assert main([*words, "-p", "pti"]) == USAGE
    assert "moves weights" in capsys.readouterr().err


@pytest.mark.slow
def test_wide_pictures_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["canvas", "-g", "avatars", "-n", "4", "-o", "row.png"]) == DONE
    assert np.asarray(Image.open("row.png")).shape == (32, 128, 3)
    assert "steps at borders" in capsys.readouterr().out
    Path("photos").mkdir()
    photo = to_uint8(np.random.default_rng(0).uniform(-1, 1, (32, 32, 3)))
    Path("photos/a.png").write_bytes(encode_png(photo))
    Path("photos/b.png").write_bytes(b"torn")
    words = ["extend", "photos", "-g", "avatars", "-o", "out"]
    assert main([*words, "--steps", "2"]) == SOME_FAILED
    assert "b.png" in capsys.readouterr().err
    found = np.asarray(Image.open("out/a.png"))
    assert found.shape == (32, 96, 3)
    np.testing.assert_allclose(found[:, 36:60].astype(int), photo[:, 4:28], atol=1)
