"""Checkpoints of the pSp family, small ones: what is recognised, linked, decided and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxinv.encoders.backbones import BACKBONES
from jaxinv.encoders.loading import expected_params
from jaxinv.encoders.networks import build
from jaxinv.specs.encoders import EncoderSpec
from tests.tiers import mostly_slow
from tests.tiny_encoders import source_arrays
from weights_convert import UnsafeFileError
from weights_convert.sources import encoders


def arrays_of(**facts: Any) -> dict[str, np.ndarray]:
    """A state dict of the encoder of those facts, all zeros: only shapes decide."""
    own: dict[str, Any] = {"head": "map2style", "rows": 6, "width": 16, "side": 32}
    own |= {"facts": (("width", 16),)} | facts
    spec = EncoderSpec("a", base="zeros", **own)
    shapes = {"batch_stats": {}} | expected_params(build(spec))
    empty = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    return source_arrays(empty)


def converted(
    arrays: dict[str, np.ndarray], prefix: str = "encoder", *, average: Any = None, **opts: Any
) -> encoders.Converted:
    state = {f"{prefix}.{name}": array for name, array in arrays.items()}
    tree = {"state_dict": state, "opts": opts} | (
        {} if average is None else {"latent_avg": average}
    )
    found = encoders.find(tree)
    assert found is not None
    return encoders.convert(found, "a")


@pytest.mark.parametrize(
    "backbone", mostly_slow(["ir-50", "ir-se-50", "resnet-18", "resnet-34", "resnet-50"], ["ir-50"])
)
def test_shapes_say_which_backbone(backbone: str) -> None:
    assert backbone in BACKBONES
    assert converted(arrays_of(backbone=backbone)).spec.backbone == backbone


PYRAMID = {"neck": "fpn", "facts": (("width", 16), ("groups", (3, 4)))}
DECIDED: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {"head": "map2style", "neck": "none", "side": 32, "rows": 6, "base": "zeros"}),
    (PYRAMID, {}, {"neck": "fpn", "facts": (("width", 16), ("groups", (3, 4)))}),
    ({}, {"encoder_type": "ProgressiveBackboneEncoder"}, {"head": "deltas", "base": "mean"}),
    ({}, {"progressive_steps": [0]}, {"head": "deltas"}),
    ({}, {"encoder_type": "GradualStyleEncoder", "delta_norm": 2}, {"head": "map2style"}),
    ({}, {"start_from_latent_avg": True}, {"base": "mean"}),
    ({}, {"dataset_type": "cars_encode"}, {"height": 24, "side": 32}),
    ({"labels": 1, "planes": ("labels",)}, {"label_nc": 1}, {"planes": ("labels",), "labels": 1}),
    ({"labels": 6, "planes": ("labels",)}, {"label_nc": 6}, {"labels": 6, "passes": 1}),
    ({"planes": ("image", "reconstruction")}, {}, {"passes": 5, "base": "mean"}),
    ({"planes": ("image", "reconstruction")}, {"n_iters_per_batch": 2}, {"passes": 2}),
    ({"planes": ("image", "attribute")}, {}, {"planes": ("image", "attribute")}),
    ({"head": "pooled", "rows": 0, "output": "w"}, {}, {"output": "w", "rows": 0}),
    ({"head": "pooled-grid"}, {}, {"head": "pooled-grid", "rows": 6, "width": 16}),
]


@pytest.mark.parametrize(("facts", "opts", "told"), DECIDED)
def test_shapes_and_settings_decide(facts: Any, opts: Any, told: Any) -> None:
    spec = converted(arrays_of(backbone="resnet-18", **facts), **opts).spec
    assert {name: getattr(spec, name) for name in told} == told


ROWS = np.arange(6 * 16, dtype=np.float32).reshape(6, 16)


@pytest.mark.parametrize("average", [ROWS, ROWS[:1], ROWS[0]], ids=["rows", "one row", "vector"])
@pytest.mark.parametrize("head", ["map2style", "pooled"])
def test_the_average_code_may_have_any_of_three_shapes(head: str, average: np.ndarray) -> None:
    facts = {"rows": 0, "output": "w"} if head == "pooled" else {}
    arrays = arrays_of(backbone="resnet-18", head=head, **facts)
    found = converted(arrays, average=average)
    assert not found.lacks_average
    wanted = ROWS[0] if head == "pooled" else np.broadcast_to(average, (6, 16))
    np.testing.assert_array_equal(found.params["average"], wanted)


def test_an_average_that_is_missing_is_said_and_one_that_does_not_fit_refused() -> None:
    arrays = arrays_of(backbone="resnet-18")
    found = converted(arrays, start_from_latent_avg=True)
    assert found.lacks_average
    assert encoders.with_average(found, ROWS[0]).params["average"].shape == (6, 16)
    with pytest.raises(UnsafeFileError, match=r"latent_avg of shape \[7\]"):
        converted(arrays, average=np.zeros(7, np.float32))


def chained(*names: str, opts: dict[str, Any], planes: tuple[str, ...]) -> EncoderSpec:
    own = {"head": "map2style"}
    state: dict[str, np.ndarray] = {}
    for index, name in enumerate(names):
        seen = planes if index else ("image",)
        arrays = arrays_of(backbone="resnet-18", planes=seen, **own)
        state |= {f"{name}.{key}": array for key, array in arrays.items()}
    found = encoders.find({"state_dict": state, "latent_avg": ROWS, "opts": opts})
    assert found is not None
    return encoders.convert(found, "a").spec


def test_encoders_that_follow_each_other_are_a_chain() -> None:
    stages = ("encoder_firststage", *(f"encoder_refinestage_list.{k}" for k in (1, 0)))
    spec = chained(*stages, opts={}, planes=("image", "reconstruction"))
    assert [spec.base, spec.before and spec.before.base] == ["before", "before"]
    assert spec.before is not None
    assert spec.before.before is not None
    assert (spec.before.before.base, spec.before.before.planes) == ("mean", ("image",))
    assert {spec.passes, spec.before.passes} == {1}
    ages = ("image", "attribute")
    sam = chained("pretrained_encoder", "encoder", opts={}, planes=ages)
    assert (sam.base, sam.planes, sam.before and sam.before.base) == ("before", ages, "mean")
    alone = {"start_from_latent_avg": True}
    sam = chained("pretrained_encoder", "encoder", opts=alone, planes=ages)
    assert (sam.base, sam.before) == ("mean", None)


def test_what_is_missing_or_left_over_is_named() -> None:
    arrays = arrays_of(backbone="resnet-18")
    del arrays["body.3.bn2.running_var"]
    with pytest.raises(UnsafeFileError, match=r"lacks 1 .*: encoder\.body\.3\.bn2\.running_var"):
        converted(arrays)
    arrays = arrays_of(backbone="resnet-18")
    with pytest.raises(UnsafeFileError, match=r"do not fit it: encoder\.body\.0\.extra\.weight"):
        converted(arrays | {"body.0.extra.weight": np.zeros((3, 3), np.float32)})
    with pytest.raises(UnsafeFileError, match=r"1 arrays .*bn1\.bias \[3\] for \[16\]"):
        converted(arrays | {"bn1.bias": np.zeros(3, np.float32)})


@pytest.mark.parametrize(
    "tree", [None, [], {}, {"state_dict": {}}, {"state_dict": {"encoder.a": 1}}]
)
def test_other_files_hold_no_encoder(tree: Any, tmp_path: Path) -> None:
    assert encoders.find(tree) is None
    assert not list(tmp_path.iterdir())
