"""Few-shot segmentation: regions that are known exactly, and nets that disagree."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.applications.segmentation import (
    hypercolumns,
    learn_segmenter,
    segment,
)
from jaxinv.edits.discovery.training import Training
from tests.edits.renderer import SIDE, codes, pictures, renderer
from tests.tiny import style

pytestmark = pytest.mark.usefixtures("quick_compilation")
FAST = Training(250, 3e-3)


def regions(w: np.ndarray) -> np.ndarray:
    """[n, side, side], 1 where a picture differs from its corner: the blob of the renderer."""
    images = pictures(renderer(), w)
    return (np.abs(images - images[:, :1, :1]).max(-1) > 0.15).astype(np.int32)


def iou(ours: np.ndarray, theirs: np.ndarray) -> float:
    both, either = (ours & theirs).sum(), (ours | theirs).sum()
    return float(both / either)


@pytest.mark.parametrize(("kind", "shots"), [("pixel", 1), ("pixel", 5), ("conv", 5)])
def test_a_few_masks_teach_the_regions_of_other_pictures(kind: str, shots: int) -> None:
    gen, params = renderer()
    known, asked = codes(shots, 1), codes(20, 2)
    made = learn_segmenter(gen, params, {"w": known}, regions(known), kind=kind, training=FAST)
    found = segment(gen, params, made, {"w": asked})
    assert found.labels.shape == (20, SIDE, SIDE)
    assert iou(found.labels, regions(asked)) > (0.6 if shots == 1 else 0.85)
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.uncertainty, 0)


def test_nets_disagree_where_they_are_wrong() -> None:
    gen, params = renderer()
    known, asked = codes(2, 1), codes(40, 2)
    made = learn_segmenter(
        gen, params, {"w": known}, regions(known), kind="pixel", nets=6, training=FAST
    )
    found = segment(gen, params, made, {"w": asked})
    wrong = found.labels != regions(asked)
    assert found.uncertainty.max() <= np.log(2) + 1e-6
    assert found.uncertainty[wrong].mean() > 3 * found.uncertainty[~wrong].mean()


def test_hypercolumns_hold_the_features_of_every_step() -> None:
    gen, params = style()
    w = jnp.ones(gen.spec.w_dim)
    states = gen.features(params, {"w": w})
    seen = hypercolumns(gen, params, {"w": w}, gen.steps, 16)
    assert seen.shape == (16, 16, sum(state["x"].shape[-1] for state in states.values()))
    last = states[gen.steps[-1]]["x"]
    np.testing.assert_allclose(seen[..., -last.shape[-1] :], last, rtol=1e-6)
    small = hypercolumns(gen, params, {"w": w}, gen.steps[-1:], 8)
    means = np.asarray(last).reshape(8, 2, 8, 2, -1).mean((1, 3))
    np.testing.assert_allclose(small, means, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": np.zeros((2, SIDE, SIDE), int)}, "two or more regions"),
        ({"masks": np.ones((3, SIDE, SIDE), int)}, r"allowed: \[2, n, n\]"),
        ({"masks": np.ones((2, SIDE, SIDE + 1), int)}, r"allowed: \[2, n, n\]"),
        ({"masks": np.ones((2, 24, 24), int)}, "a multiple or a part"),
        ({"masks": np.full((2, SIDE, SIDE), 0.5)}, "numbers of regions"),
        ({"kind": "tree"}, "allowed: conv, pixel"),
        ({"nets": 0}, "nets"),
        ({"steps": ("hair",)}, "allowed: mask, paint"),
        ({"latents": {"w": np.ones((2, 3), np.float32)}}, "cannot draw"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(change: dict[str, Any], words: str) -> None:
    gen, params = renderer()
    given = {"latents": {"w": codes(2)}, "masks": regions(codes(2)), "training": FAST} | change
    with pytest.raises(ValueError, match=words):
        learn_segmenter(gen, params, **given)
