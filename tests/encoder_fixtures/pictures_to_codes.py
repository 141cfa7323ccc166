"""IDInvert, latent composition and GH-Feat: pictures become codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders.networks import BACKBONES, NECKS, Parts
from jaxinv.encoders.planes import Sample, planes_of
from tests.encoder_fixtures.conversion import Pair, bare, checkpoint, converted, networks
from tests.encoder_fixtures.rules import check_output, formula, inputs, tensors
from tests.net_fixtures.rules import read_meta


class Stages(Parts):
    """The maps of a backbone and of the neck behind it, without the head."""

    @nn.compact
    def __call__(self, planes: Any, stage: Any = None) -> Any:
        del stage
        maps = BACKBONES[self.spec.backbone](self, planes)
        return maps, NECKS[self.spec.neck](self, maps)


def maps_and_code(pair: Pair, planes: np.ndarray) -> tuple[Any, Any, Any]:
    """Maps of backbone and neck, and the outputs, for planes [n, h, w, c], one by one."""
    spec = pair.encoder.spec
    variables = {name: pair.params[name] for name in ("params", "batch_stats")}

    @jax.jit
    def one(params: Any, variables: Any, x: Any) -> Any:
        maps, joined = Stages(spec).apply(variables, x)  # type: ignore[misc]
        return maps, joined, pair.encoder.predict(params, x)

    found = [one(pair.params, variables, jnp.asarray(x)) for x in planes]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found)


def first(x: Any) -> np.ndarray:
    """Channels first, as the originals have them."""
    return np.moveaxis(np.asarray(x), -1, 1)


def last(x: Any) -> np.ndarray:
    """Channels last, as ours have them."""
    return np.moveaxis(np.asarray(x), 1, -1)


def idinvert(folder: Path) -> None:
    file = folder / "encoder.pth"
    with converted(file if file.is_file() else bare(tensors(folder)), suffix=".pth") as pair:
        setting = read_meta(folder)["setting"]
        assert pair.encoder.spec.side == setting["resolution"]
        assert pair.encoder.spec.width == setting["w_space_dim"]
        maps, _, outputs = maps_and_code(pair, last(inputs(folder)["x"]))
    for index, one in enumerate(reversed(maps)):
        check_output(folder, f"block{index}", first(one))
    code = outputs["code"].reshape(len(outputs["code"]), -1)
    check_output(folder, "codes", code)
    check_output(folder, f"block{len(maps)}", code)


@pytest.mark.slow
def large_idinvert(folder: Path) -> None:
    idinvert(folder)


def latent_composition(folder: Path) -> None:
    setting, given = read_meta(folder)["setting"], inputs(folder)
    # The encoder of a PGGAN sees its pictures as they are, that of a StyleGAN at one of two sizes.
    side = given["img"].shape[-1] if "nz" in setting else 128 if setting["halfsize"] else 256
    content = checkpoint(tensors(folder), epoch=3)
    with converted(content, "--side", str(side)) as pair:
        spec, pictures = pair.encoder.spec, last(given["img"])
        masks = np.ones(pictures.shape[:3], "f4")
        if "mask" in read_meta(folder)["inputs"]:
            masks = formula(folder, "mask")[:, 0]
        samples = [Sample(x, mask=mask) for x, mask in zip(pictures, masks, strict=True)]
        planes = np.stack([planes_of(spec, sample, None) for sample in samples])
        maps, _, outputs = maps_and_code(pair, planes)
    if "downsample" in read_meta(folder)["io"]:
        check_output(folder, "downsample", first(planes))
    for level, one in enumerate(reversed(maps), start=1):
        check_output(folder, f"layer{level}", first(one))
    code = outputs["code"]
    check_output(folder, "codes", code if spec.rows else code[..., None, None])


@pytest.mark.slow
def gh_feat(folder: Path) -> None:
    setting = read_meta(folder)["setting"]
    generator = {"synthesis/Noise": np.ones((1, 2), "f4")}
    content = networks(tensors(folder), generator)
    with converted(content, "--side", str(setting["size"]), suffix=".pkl") as pair:
        maps, joined, outputs = maps_and_code(pair, last(inputs(folder)["x"]))
    for name, one in zip(("res5", "res4"), maps[1:], strict=True):
        check_output(folder, name, first(one))
    for name, one in zip(("sam_res6", "sam_res5", "sam_res4"), joined, strict=True):
        check_output(folder, name, first(one))
    # The authors repeat a shorter style until every row is as long.
    longest = max(style.shape[1] for style in outputs["code"])
    rows = [np.tile(style, (1, longest // style.shape[1])) for style in outputs["code"]]
    check_output(folder, "latents", np.stack(rows, axis=1))


CHECKS: dict[str, Callable[[Path], None]] = {
    "idinvert": idinvert,
    "idinvert-256": large_idinvert,
    "idinvert-wscale": idinvert,
    "latentcomp-proggan": latent_composition,
    "latentcomp-stylegan": latent_composition,
    "ghfeat": gh_feat,
}
