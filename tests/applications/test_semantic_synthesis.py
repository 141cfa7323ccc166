"""Few-shot semantic synthesis: masks by nearest features, and pictures of masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.applications.semantic_synthesis import (
    COLOURS,
    Labels,
    from_masks,
    label_generator,
    learn_labels,
    masks_of,
    painted,
    regions_of,
    with_labels,
)
from jaxinv.cli.console import DONE, SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.io.image_ops import nearest
from jaxinv.io.images import encode_png
from jaxinv.io.latent_files import load_latents, save_latents
from jaxinv.io.region_pictures import read_regions
from jaxinv.models.rendering import render_uint8
from jaxinv.models.statistics import STATISTICS, w_statistics
from tests.edits.renderer import SIDE, codes, pictures, renderer
from tests.tiers import mostly_slow
from tests.tiny import Pair, chain, style

pytestmark = pytest.mark.usefixtures("quick_compilation")


def regions(w: np.ndarray) -> np.ndarray:
    """[n, side, side], 1 where a picture differs from its corner: the blob of the renderer."""
    images = pictures(renderer(), w)
    return (np.abs(images - images[:, :1, :1]).max(-1) > 0.15).astype(np.int32)


def iou(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(((ours == 1) & (theirs == 1)).sum() / ((ours == 1) | (theirs == 1)).sum())


def searched() -> Pair:
    """The renderer with all statistics of its W, which is z."""
    gen, params = renderer()
    return gen, {**params, STATISTICS: w_statistics(gen, params)}


@pytest.fixture(scope="module")
def known() -> Labels:
    return learn_labels(*renderer(), {"w": codes(1, 1)}, regions(codes(1, 1)))


def test_one_labelled_picture_gives_others_their_masks(known: Labels) -> None:
    asked = codes(20, 2)
    found = masks_of(*renderer(), known, {"w": asked})
    assert found.shape == (20, SIDE, SIDE)
    assert iou(found, regions(asked)) > 0.7


@pytest.mark.parametrize("references", [1, 8])
def test_labelled_pixels_are_of_their_own_region(references: int) -> None:
    w = codes(1, 1)
    made = learn_labels(*renderer(), {"w": w}, regions(w), references=references)
    assert {len(one) for one in made.references.values()} == {2 * references}
    norms = np.linalg.norm(made.references["mask"], axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-4)
    assert iou(masks_of(*renderer(), made, {"w": w}), regions(w)) > 0.75


def test_pixels_without_a_label_do_not_count() -> None:
    w = codes(1, 1)
    sparse = np.full((1, SIDE, SIDE), -1)
    sparse[0, 8, 8], sparse[0, 0, 0] = 1, 0
    made = learn_labels(*renderer(), {"w": w}, sparse)
    assert iou(masks_of(*renderer(), made, {"w": codes(10, 2)}), regions(codes(10, 2))) > 0.6


@pytest.mark.slow
def test_a_mask_is_drawn_like_a_picture_in_parts_and_at_once() -> None:
    gen, params = style()
    w = np.asarray(jax.random.normal(jax.random.key(0), (1, 8)))
    mask = np.zeros((1, 16, 16), int)
    mask[:, 8:] = 1
    made = learn_labels(gen, params, {"w": w}, mask, references=4)
    wide, held = label_generator(gen, made), with_labels(params, made)
    cut, code = gen.steps[2], {"w": w[0]}

    @jax.jit
    def drawn(held: Any) -> Any:
        state = wide.prefix(held, code, cut)
        return wide.synthesize(held, code), wide.suffix(held, code, cut, state, None)

    whole, in_parts = drawn(held)
    np.testing.assert_allclose(in_parts, whole, atol=1e-5)
    assert set(np.unique(regions_of(np.asarray(whole), 2))) == {0, 1}


def test_colours_of_regions_are_apart_and_painted_purely() -> None:
    assert len(np.unique(COLOURS, axis=0)) == len(COLOURS) == 27
    for count in (2, 8, 27):
        score = 2 * np.eye(count)[None] - 1  # region i is most like in pixel i
        drawn = np.asarray(painted(jnp.asarray(score), count))
        np.testing.assert_allclose(drawn[0], COLOURS[:count], atol=1e-3)
        np.testing.assert_array_equal(regions_of(drawn, count)[0], np.arange(count))


def test_masks_keep_their_regions_at_other_sides() -> None:
    mask = np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(nearest(mask, 8), mask.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(nearest(nearest(mask, 12), 4), mask)


def test_a_picture_is_found_for_a_mask(known: Labels) -> None:
    gen, params = searched()
    wanted = masks_of(gen, params, known, {"w": codes(2, 9)})
    found = from_masks(gen, params, known, wanted, steps=60)
    got = masks_of(gen, params, known, found)
    others = masks_of(gen, params, known, {"w": codes(20, 11)})
    for ours, theirs in zip(got, wanted, strict=True):
        by_chance = np.mean([iou(one, theirs) for one in others])
        assert iou(ours, theirs) > max(0.85, by_chance)


@pytest.mark.slow
def test_rows_of_a_style_are_taken_in_the_end(known: Labels) -> None:
    gen, params = searched()
    wanted = masks_of(gen, params, known, {"w": codes(1, 9)})
    like = {"w": codes(1, 3)[0]}
    found = from_masks(gen, params, known, wanted, steps=5, style=like, style_rows=(1,))
    np.testing.assert_array_equal(found["w+"][0, 1], like["w"])


MASK = np.eye(SIDE, dtype=int)[None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": np.zeros_like(MASK)}, "masks of 1 regions; allowed: 2 to 27"),
        ({"masks": np.full_like(MASK, -1)}, "masks of 0 regions"),
        ({"masks": 2 * MASK}, "no mask shows region 1"),
        ({"masks": 40 * MASK}, "masks of 41 regions"),
        ({"masks": np.zeros((2, 4, 4), int)}, r"allowed: \[1, n, n\]"),
        ({"masks": MASK.astype(float)}, "numbers of regions"),
        ({"references": 0}, "references"),
        ({"latents": {"w": np.ones((1, 3), np.float32)}}, "cannot draw"),
    ],
)
def test_labels_that_cannot_be_learned_from_are_refused(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"latents": {"w": codes(1)}, "masks": MASK} | change
    with pytest.raises(ValueError, match=words):
        learn_labels(*renderer(), **given)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.zeros_like(MASK), "mask 0 is region 0 alone; allowed: two or more"),
        (3 * MASK, "masks of regions 0 to 3; allowed: 0 to 1"),
        (-MASK, "masks of regions -1 to 0"),
        (np.zeros((1, 4, 5), int), r"allowed: \[B, n, n\]"),
    ],
)
def test_masks_that_cannot_be_drawn_are_refused(
    known: Labels, masks: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        from_masks(*renderer(), known, masks)


def test_regions_are_read_by_their_colour(tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16], picture[16:] = (255, 0, 0), (0, 0, 200)
    (tmp_path / "a.png").write_bytes(encode_png(picture))
    (tmp_path / "b.png").write_bytes(encode_png(picture[::-1]))
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    numbers, colours = read_regions(files)
    assert colours.tolist() == [[0, 0, 200], [255, 0, 0]]
    np.testing.assert_array_equal(numbers[0], np.repeat([1, 0], 16)[:, None].repeat(32, 1))
    np.testing.assert_array_equal(numbers[1], numbers[0][::-1])
    picture[0] = (9, 9, 9)
    (tmp_path / "c.png").write_bytes(encode_png(picture))
    with pytest.raises(ValueError, match=r"colour \(9, 9, 9\) is no region; allowed: \(0, 0, 200"):
        read_regions([tmp_path / "c.png"], colours)
    (tmp_path / "d.png").write_bytes(encode_png(picture[:24]))
    with pytest.raises(ValueError, match="32 x 24 px; allowed: 24 x 24"):
        read_regions([tmp_path / "d.png"])
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    (tmp_path / "e.png").write_bytes(encode_png(noise))
    with pytest.raises(ValueError, match="colours; allowed: up to 27"):
        read_regions([tmp_path / "e.png"])


@pytest.mark.slow
def test_pictures_are_made_of_masks_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_latents("known.safetensors", {"w": np.zeros(128, np.float32)}, {"generator": "avatars"})
    label = np.zeros((32, 32, 3), np.uint8)
    label[10:, 8:24] = (255, 255, 255)
    Path("label.png").write_bytes(encode_png(label))
    Path("asked").mkdir()
    Path("asked/a.png").write_bytes(encode_png(np.roll(label, 3, 1)))
    Path("asked/b.png").write_bytes(encode_png(np.zeros((32, 32, 3), np.uint8)))
    Path("asked/c.png").write_bytes(encode_png(np.full((32, 32, 3), 7, np.uint8)))
    words = ["synthesize", "asked", "--labelled", "known.safetensors", "--labels"]
    also = ["-o", "out", "--steps", "3", "--restarts", "1"]
    assert main([*words, "label.png", *also]) == SOME_FAILED
    said = capsys.readouterr()
    assert "b.png: mask 0 is region 0 alone" in said.err
    assert "c.png: colour (7, 7, 7) is no region" in said.err
    assert "% of its pixels" in said.out
    assert [one.name for one in Path("out/images").iterdir()] == ["a.png"]
    assert "generator" in load_latents("out/latents/a.safetensors")[1]
    assert main(["render", "out/latents/a.safetensors", "-o", "again"]) == DONE
    assert Path("again/a.png").read_bytes() == Path("out/images/a.png").read_bytes()
    assert main([*words, "none.png", *also]) == USAGE


@pytest.mark.parametrize("pair", mostly_slow((chain, style), fast=(style,)))
def test_any_generator_with_maps_can_be_labelled(pair: Any) -> None:
    gen, params = pair()
    space, width = ("w", 8) if gen.spec.w_dim else ("z", 8)
    code = {space: np.random.default_rng(0).uniform(-1, 1, (1, width)).astype(np.float32)}
    mask = np.zeros((1, 16, 16), int)
    mask[0, render_uint8(gen, params, {space: code[space][0]}).mean(-1) > 127] = 1
    made = learn_labels(gen, params, code, mask, references=8)
    assert (masks_of(gen, params, made, code) == mask).mean() > 0.7
