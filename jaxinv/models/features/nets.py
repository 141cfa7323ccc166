"""Converted nets by name or file, ready to use: `load_net`, and `embed` for many pictures."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.checkpoints import read_metadata, weights_file
from jaxinv.models.features import (
    arcface,
    clip,
    face_attributes,
    face_parsing,
    facenet,
    inception,
    picture_labels,
    resnet,
)
from jaxinv.models.features.named_layers import Net, Shapes, shapes_of
from jaxinv.models.weights import read_weights, use_compilation_cache
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.specs.checks import check_array, check_choice, check_kind, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.types import Array, Params

BUILDERS: dict[str, Callable[[Shapes], Net]] = {
    "inception-fid": inception.build,
    "arcface-ir": arcface.build,
    "bisenet-faces": face_parsing.build,
    "clip": clip.build,
    "facenet": facenet.build,
    "moco-resnet50": resnet.build,
    picture_labels.ARCHITECTURE: picture_labels.build,
    "face-landmarks": partial(face_attributes.build, "face-landmarks", "out"),
    "face-age-gender": partial(face_attributes.build, "face-age-gender", "features"),
    "face-expression": partial(face_attributes.build, "face-expression", "out"),
}


@lru_cache
def build_net(architecture: str, shapes: Shapes) -> Net:
    """The net of an architecture whose arrays have these shapes.

    Raises `ValueError` for an unknown architecture, and where arrays are missing, left over or of
    sizes that do not fit together.
    """
    check_choice("architecture", architecture, tuple(BUILDERS))
    try:
        net = BUILDERS[architecture](shapes)
        made = jax.eval_shape(net.init, jax.random.key(0))
    except (LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(f"arrays that fit no {architecture} ({error!s:.120})") from error
    except ValueError as error:
        raise ValueError(f"arrays that fit no {architecture}: {error!s:.200}") from error
    used = shapes_of(made)
    if left := sorted(set(dict(shapes)) - set(dict(used))):
        raise ValueError(f"{architecture} has no use for {len(left)} arrays, first {left[0]!r}")
    if used != shapes:
        name = next(name for name, shape in used if dict(shapes)[name] != shape)
        raise ValueError(f"{architecture}: {name!r} has a shape that does not fit the others")
    return net


def load_net(name: str) -> tuple[Net, Params]:
    """A net that `jaxinv convert` or `jaxinv pull attributes` made, and its parameters.

    Args:
        name: what it was called by `jaxinv convert --name`, or its .safetensors file.

    Returns:
        The net, whose docstrings say how pictures must be framed, and a nested dict of arrays,
        which has gained "frozen" (kernels prepared for gradients).

    Raises:
        ValueError: the file is missing, damaged, or no net of these.
    """
    path = weights_file(name)
    metadata = read_metadata(path)
    kind, architecture = (metadata.get(key, "missing") for key in ("kind", "architecture"))
    if kind != "features" or architecture not in BUILDERS:
        raise ValueError(
            f"{path.name} is of kind {kind!r}, architecture {architecture!r}; allowed: 'features', "
            f"{', '.join(BUILDERS)} (`jaxinv convert FILE` makes one)"
        )
    use_compilation_cache()
    params, _ = read_weights(path)
    net = build_net(architecture, shapes_of(params))
    params[BACKWARD_KERNELS] = precompute_backward(params)
    return net, params


def embed(net: Net, params: Params, images: np.ndarray, *, tap: str = "") -> np.ndarray:
    """The vectors of pictures, or another output, float32 [B, ...].

    Args:
        net: of `load_net`.
        params: its parameters.
        images: uint8 [B, h, w, 3], framed as the net wants it; they are resized by `net.prepare`.
        tap: the name of an output; default: `net.output`.

    Raises:
        ValueError: other arrays, or a net that has no such output.
    """
    check_kind("net", net, Net, " (net, params = load_net(NAME))")
    stack = check_array("images", images, "biuf")
    if stack.dtype != np.uint8 or stack.ndim != 4 or stack.shape[-1] != 3 or not len(stack):
        raise ValueError(f"images are {told(stack)}; allowed: uint8 [B, h, w, 3], B at least 1")
    shape = jax.ShapeDtypeStruct(stack.shape[1:], jnp.float32)
    check_choice("tap", tap or net.output, tuple(jax.eval_shape(net.taps, params, shape)))
    one = partial(_tap, net, tap or net.output)
    return np.stack([np.asarray(one(params, image)) for image in stack])


@partial(jax.jit, static_argnums=(0, 1))
def _tap(net: Net, tap: str, params: Params, image: Array) -> Array:
    return net.taps(params, image.astype(jnp.float32) / 127.5 - 1.0)[tap]


def embed_texts(net: Net, params: Params, ids: np.ndarray) -> np.ndarray:
    """The vectors of texts, each of length 1, float32 [B, d], from ids [B, n] of a tokenizer.

    Raises `ValueError` for a net that embeds no texts, and for other arrays.
    """
    check_kind("net", net, Net, " (net, params = load_net(NAME))")
    if net.text is None:
        raise ValueError(f"{net.architecture} embeds no texts; allowed: clip")
    stack = check_array("ids", ids, "biuf")
    if stack.ndim != 2 or stack.dtype.kind not in "iu" or not stack.size:
        raise ValueError(f"ids are {told(stack)}; allowed: whole numbers [B, n]")
    words, positions = (
        params[name].shape[0] for name in ("token_embedding", "positional_embedding")
    )
    if stack.shape[1] > positions or stack.min() < 0 or stack.max() >= words:
        raise ValueError(
            f"ids {told(stack)} from {stack.min()} to {stack.max()}; allowed: up to {positions} a "
            f"text, 0 to {words - 1}"
        )
    found = np.asarray(_texts(net, params, jnp.asarray(stack)))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@partial(jax.jit, static_argnums=0)
def _texts(net: Net, params: Params, ids: Array) -> Array:
    if net.text is None:
        raise ValueError("a net that embeds no texts")
    return jax.vmap(partial(net.text, params))(ids)
