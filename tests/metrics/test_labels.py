"""Attributes by a net of labels: shares, means of what labels stand for, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.io.checkpoints import PACKAGED
from jaxinv.io.images import read_photo
from jaxinv.metrics.labels import (
    all_label_scores,
    label_attributes,
    label_net,
    label_scores,
    label_shares,
    labels_of,
)
from jaxinv.models.features.picture_labels import layer_shapes, side_of
from tests.tiny_labels import GROUPS, LABELS, save_labels


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path))
    return tmp_path


def noise(count: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), np.uint8)


@pytest.mark.parametrize("side", [8, 16, 24, 33])
def test_attributes_are_means_of_what_labels_stand_for(cache: Path, side: int) -> None:
    save_labels(cache, "g")
    images = noise(5, side)
    shares, scores = label_shares("g", images), all_label_scores("g", images)
    assert {name: one.shape for name, one in shares.items()} == {"shape": (5, 3), "turn": (5, 4)}
    for one in shares.values():
        np.testing.assert_allclose(one.sum(1), 1, rtol=1e-12)
        assert np.ptp(one, axis=0).max() > 0.01
    np.testing.assert_allclose(scores["round"], shares["shape"][:, 0])
    np.testing.assert_allclose(scores["shaped"], 1 - shares["shape"][:, 2])
    np.testing.assert_allclose(scores["turned"], shares["turn"] @ [-5, 0, 5, 10])
    np.testing.assert_array_equal(label_scores("g", "turned", images), scores["turned"])
    np.testing.assert_allclose(label_scores("g", "turned", images[2:3]), scores["turned"][2])


def test_a_generator_without_a_net_has_no_labels(cache: Path) -> None:
    assert label_net("nobody") is None
    assert labels_of("nobody") is None
    assert label_attributes("nobody") == {}
    with pytest.raises(ValueError, match="generator 'nobody' has no net of labels"):
        label_shares("nobody", noise(2))
    with pytest.raises(ValueError, match="attribute 'round'; "):
        label_scores("nobody", "round", noise(2))
    save_labels(cache, "g")
    assert label_net(str(cache / "g.safetensors")) == "g-labels"
    with pytest.raises(ValueError, match="images"):
        label_shares("g", noise(2).astype(np.float32))


@pytest.mark.parametrize(
    "labels",
    [
        [],
        {},
        {"groups": {}, "attributes": {}},
        {"groups": GROUPS, "attributes": {"round": {"group": "shape"}}},
        {"groups": GROUPS, "attributes": {"a": {**LABELS["attributes"]["round"], "group": "no"}}},
        {"groups": GROUPS, "attributes": {"a": {**LABELS["attributes"]["round"], "values": [1]}}},
        {"groups": GROUPS, "attributes": {"a": {**LABELS["attributes"]["round"], "values": "abc"}}},
    ],
)
def test_a_file_that_does_not_say_its_labels_is_refused(cache: Path, labels: Any) -> None:
    path = save_labels(cache, "bad", labels)
    with pytest.raises(ValueError, match=path.name):
        labels_of("bad")


def test_the_side_is_that_of_the_arrays() -> None:
    for side, widths in ((32, (4, 5, 6, 7)), (64, (4, 4)), (8, (3, 3, 3))):
        assert side_of(layer_shapes(side, widths, 3, 11)) == side


# Of the packaged pictures in their order, which no net here was trained on: what they show.
SHOWN = {
    "glasses": (1, 0, 0, 0, 1, 0, 0, 0),
    "beard": (1, 0, 0, 0, 1, 1, 0, 0),
    "wide-eyes": (1, 0, 0, 0, 0, 0, 0, 0),
    "smile": (0, 1, 0, 0, 0, 0, 0, 0),
}


@pytest.mark.usefixtures("cache")
def test_the_packaged_net_knows_the_packaged_pictures() -> None:
    files = sorted((PACKAGED / "avatars").glob("*.png"))
    images = np.stack([np.rint((read_photo(one).pixels + 1) * 127.5) for one in files])
    scores = all_label_scores("avatars", images.astype(np.uint8))
    for name, due in SHOWN.items():
        assert np.sum((scores[name] > 0.5) == np.array(due, bool)) >= 7, (name, scores[name])
    tilts = (2, 5, -2, -4, -2, -8, 8, -7)
    assert np.corrcoef(scores["tilt"], tilts)[0, 1] > 0.8
