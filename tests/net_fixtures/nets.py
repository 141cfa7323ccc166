"""Feature nets: their published containers, converted by the public command, against their outputs.

Figures are relative to the largest value. Of deep nets the original's own float32 is further than
1e-5 from its float64 (`rel_f32_vs_f64` of meta.json). Ours adds in another order, and its
normalisations are folded into kernels: five times that is allowed there.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.cli.main import main
from jaxinv.io.published_resizes import clip_crop, stretched
from jaxinv.models.features import clip, face_parsing, inception
from jaxinv.models.features.clip_tokenizer import ClipTokenizer
from jaxinv.models.features.named_layers import Net
from jaxinv.models.features.nets import embed, embed_texts, load_net
from jaxinv.types import Params
from tests.net_fixtures.rules import check_close, read_arrays, read_meta, tensors
from tests.torchlike import state_dict, zip_file
from tests.weights import need

Taps = Mapping[str, np.ndarray]


@contextmanager
def converted(source: Path | Mapping[str, np.ndarray]) -> Iterator[tuple[Net, Params]]:
    """The net that `jaxinv convert` makes of a file, or of a state dict in torch's container."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, "published.pth"), Path(folder, "net.safetensors")
        if isinstance(source, Path):
            shutil.copy(source, file)
        else:
            file.write_bytes(torch_file(source))
        assert main(["convert", str(file), "--out", str(out)]) == 0
        yield load_net(str(out))


def torch_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A state dict as torch.save writes it."""
    return zip_file(state_dict(arrays), arrays)


def allowed(folder: Path) -> float:
    """The relative difference that is no fault: 1e-5, or 5 times that of the original's float32."""
    return max(1e-5, 5 * (read_meta(folder)["rel_f32_vs_f64"] or 0.0))


def runner(net: Net, params: Params) -> Callable[[Any], Taps]:
    """All taps of one prepared picture."""
    run = jax.jit(net.run)
    return lambda x: {name: np.asarray(tap) for name, tap in run(params, jnp.asarray(x)).items()}


def signed(pictures: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in [-1, 1]."""
    return pictures.astype(np.float32) / 127.5 - 1


def channels_first(x: np.ndarray, step: int, channels: int = 1) -> np.ndarray:
    """Every `step`-th pixel of [h, w, c], and every `channels`-th channel, as [c, h, w]."""
    return np.moveaxis(np.asarray(x)[::step, ::step, ::channels], -1, 0)


@pytest.mark.slow
def inception_fid(folder: Path) -> None:
    io, limit = read_arrays(folder / "io.npz"), allowed(folder)
    names = {"pytorch": "pytorchfid", "tensorflow": "torchfidelity", "clean": "clean"}
    with converted(tensors(folder)) as (net, params):
        run = runner(net, params)
        for mode, code in names.items():
            for image in ("image0", "image1"):
                pictures = signed(io[f"{image}_uint8_nhwc"])
                inputs = [inception.RESIZES[mode](jnp.asarray(x)) for x in pictures]
                _check_resize(mode, image, np.asarray(inputs), io)
                _check_taps(f"{image}_{code}", [run(x) for x in inputs], io, limit)


def _check_resize(mode: str, image: str, found: np.ndarray, io: Taps) -> None:
    suffix = {"pytorch": "pytorchfid", "tensorflow": "tf1", "clean": "clean"}[mode]
    expected = io[f"{image}_resized_{suffix}_s13"]
    part = found[:, ::13, ::13]
    if mode == "clean":  # kept in 0..255, rows first; Pillow's own accuracy there is about 1e-5
        check_close(part * 128 + 128, expected, f"{image} {mode}", 2e-5)
    else:
        check_close(np.moveaxis(part, -1, 1), expected, f"{image} {mode}")


def _check_taps(key: str, taps: list[Taps], io: Taps, limit: float) -> None:
    names = {"logits_unbiased": "logits", "logits": "logits_biased"}
    for tap in ("64", "192", "768", "2048", "logits_unbiased", "logits"):
        if f"{key}_{tap}" in io:
            found = np.stack([one[names.get(tap, tap)] for one in taps])
            found = found.mean((1, 2)) if found.ndim == 4 else found
            check_close(found, io[f"{key}_{tap}"], f"{key}_{tap}", limit)


@pytest.mark.slow
def arcface(folder: Path) -> None:
    io, limit = read_arrays(folder / "io.npz"), allowed(folder)
    with converted(tensors(folder)) as (net, params):
        run = runner(net, params)
        faces = [run(x) for x in signed(io["image112_uint8_nhwc"])]
        check_close([x["embedding"] for x in faces], io["embedding"], "embedding", limit)
        check_close([x["vector"] for x in faces], io["pre_norm"], "vector", limit)
        check_close([x["body"].mean((0, 1)) for x in faces], io["body_mean"], "body", limit)
        framed = [net.prepare(jnp.asarray(x)) for x in signed(io["image256_uint8_nhwc"])]
        check_close(
            [channels_first(np.asarray(x), 7) for x in framed], io["crop_pooled_s7"], "crop"
        )
        found = embed(net, params, io["image256_uint8_nhwc"])
        check_close(found, io["embedding256"], "embedding of a framed face", limit)
        # A cosine near 1 is a difference of vectors of length 1.
        assert abs(1 - found[0] @ found[1] - io["id_loss_256"]) < 1e-5


@pytest.mark.slow
def bisenet(folder: Path) -> None:
    io, limit = read_arrays(folder / "io.npz"), allowed(folder)
    first = io["image_uint8_nhwc"][0]
    resized = stretched(first, face_parsing.SIDE)[::37, ::37]
    np.testing.assert_array_equal(resized, io["image0_resized512_s37"])
    at_one = io["image_uint8_nhwc"].astype(np.float32) / 255
    inputs = (at_one - face_parsing.IMAGENET_MEAN) / face_parsing.IMAGENET_DEVIATION
    with converted(tensors(folder)) as (net, params):
        run = runner(net, params)
        found = [run(x.astype(np.float32)) for x in inputs]
    for key, tap, step, channels in (
        ("out_s8", "parts", 8, 1),
        ("out16_s8", "parts16", 8, 1),
        ("out32_s8", "parts32", 8, 1),
        ("feat8_s4", "trunk8", 4, 16),
        ("feat_cp8_s4", "context8", 4, 8),
        ("feat_cp16", "context16", 2, 8),
    ):
        check_close([channels_first(x[tap], step, channels) for x in found], io[key], key, limit)
    np.testing.assert_array_equal([x["parts"].argmax(-1) for x in found], io["labels"])
    assert list(face_parsing.PARTS) == read_meta(folder)["classes"]


@pytest.mark.slow
def facenet(folder: Path) -> None:
    io, limit = read_arrays(folder / "io.npz"), allowed(folder)
    logits = {"logits.weight": np.zeros((7, 512), "f4"), "logits.bias": np.zeros(7, "f4")}
    with converted(tensors(folder) | logits) as (net, params):
        found = embed(net, params, io["image_uint8_nhwc"])
    check_close(found, io["embedding"], "embedding", limit)
    check_close(found @ found.T, io["cosine_matrix"], "cosines", limit)


@pytest.mark.slow
def moco(folder: Path) -> None:
    io, limit = read_arrays(folder / "io.npz"), allowed(folder)
    arrays = {f"module.encoder_q.{name}": array for name, array in tensors(folder).items()}
    arrays["module.encoder_q.fc.0.weight"] = np.zeros((8, 2048), "f4")
    arrays["module.queue"] = np.zeros((4, 4), "f4")
    at_one = io["image_uint8_nhwc"].astype(np.float32) / 255
    native = (at_one - face_parsing.IMAGENET_MEAN) / face_parsing.IMAGENET_DEVIATION
    with converted(arrays) as (net, params):
        run = runner(net, params)
        inputs = [net.prepare(jnp.asarray(x)) for x in signed(io["image_uint8_nhwc"])]
        found, whole = [run(x) for x in inputs], [run(x.astype(np.float32)) for x in native]
    check_close([channels_first(x, 7) for x in np.asarray(inputs)], io["nearest224_s7"], "input")
    check_close([x["pooled"] for x in found], io["pooled"], "pooled", limit)
    check_close([x["embedding"] for x in found], io["embedding"], "embedding", limit)
    assert abs(found[0]["embedding"] @ found[1]["embedding"] - io["cosine"]) < 1e-5
    key = "pooled_imagenet_norm_native_size"
    check_close([x["pooled"] for x in whole], io[key], key, limit)


def clip_net(folder: Path) -> None:
    io, limit = read_arrays(folder / "io.npz"), allowed(folder)
    arrays = tensors(folder)
    size = read_meta(folder)["settings"]["image_resolution"]
    crops = [
        clip_crop(picture, size).astype(np.float32) / 255 for picture in io["image_uint8_nhwc"]
    ]
    inputs = [clip.scaled(jnp.asarray(x)) for x in crops]
    step = -(-size // io["preprocessed_s3"].shape[-1])
    found = [channels_first(x, step) for x in np.asarray(inputs)]
    check_close(found, io["preprocessed_s3"], "preprocessed")
    for suffix, weights in (("", arrays), ("_fp16_weights", _halved(arrays))):
        with converted(weights) as (net, params):
            assert net.prepare(jnp.zeros((size + 7, size, 3))).shape == (size, size, 3)
            run = runner(net, params)
            pictures = [run(x) for x in inputs]
            texts = embed_texts(net, params, io["token_ids"])
        vectors = np.stack([x["vector"] for x in pictures])
        check_close(vectors, io[f"image_features{suffix}"], f"pictures{suffix}", limit)
        expected = io[f"text_features{suffix}"]
        directions = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        check_close(texts, directions, f"texts{suffix}", limit)
        if not suffix:
            logits = np.stack([x["embedding"] for x in pictures]) @ texts.T
            check_close(
                logits * pictures[0]["logit_scale"], io["logits_per_image"], "logits", limit
            )
            if "patch_embedding_first_tokens" in io:
                key = "patch_embedding_first_tokens"
                width = io[key].shape[-1]
                first = np.stack([x["patches"][: io[key].shape[1], :width] for x in pictures])
                check_close(first, io[key], key, limit)


def _halved(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a published file keeps in float16: convolutions, matrices, and their biases."""
    groups = {name.rpartition(".")[0] for name, array in arrays.items() if array.ndim in (2, 4)}
    kept = ("positional_embedding", "class_embedding", "token_embedding")
    return {
        name: array.astype(np.float16)
        if (name.rpartition(".")[0] in groups or "in_proj" in name or name.endswith("proj"))
        and not any(part in name for part in kept)
        and array.ndim
        else array
        for name, array in arrays.items()
    }


@pytest.mark.slow
def clip_slow(folder: Path) -> None:
    clip_net(folder)


def clip_container(folder: Path) -> None:
    io = read_arrays(folder / "io.npz")
    with converted(folder / "model.pt") as (net, params):
        run = runner(net, params)
        found = [run(np.moveaxis(x, 0, -1))["vector"] for x in io["image_normalised"]]
        texts = embed_texts(net, params, io["token_ids"])
    check_close(found, io["image_features"], "pictures")
    expected = io["text_features"]
    check_close(texts, expected / np.linalg.norm(expected, axis=1, keepdims=True), "texts")


def clip_tokenizer(folder: Path) -> None:
    need("clip-vocabulary")
    meta, io = read_meta(folder), read_arrays(folder / "io.npz")
    tokenizer = ClipTokenizer()
    np.testing.assert_array_equal(tokenizer(meta["texts"]), io["token_ids"])
    ends = np.cumsum(io["raw_lengths"])
    raw = np.split(io["raw_ids_concatenated"], ends[:-1])
    for text, expected in zip(meta["texts"], raw, strict=True):
        assert tokenizer.encode(text) == expected.tolist(), json.dumps(text)
    for ids, text in zip(raw, meta["decoded"], strict=True):
        assert tokenizer.decode(ids.tolist()) == text


CHECKS: dict[str, Callable[[Path], None]] = {
    "arcface-irse50": arcface,
    "bisenet-face-parsing": bisenet,
    "clip-rn": clip_slow,
    "clip-tokenizer": clip_tokenizer,
    "clip-torchscript-container": clip_container,
    "clip-vit": clip_net,
    "clip-vit-b32-full": clip_slow,
    "facenet-inception-resnet-v1": facenet,
    "inception-fid": inception_fid,
    "moco-resnet50": moco,
}
