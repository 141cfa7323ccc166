"""Variational autoencoders: what decoders draw, and what encoders say of pictures."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders.loading import load_encoder
from tests.generator_fixtures.drawing import Drawn, channels_first, checkpoint, compare, converted


def seen(name: str, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of the code of pictures [n, h, w, 3], by the encoder of a name."""
    encoder, params = load_encoder(name)
    found = jax.vmap(lambda one: encoder.predict(params, one))(jnp.asarray(pictures))
    return np.asarray(found["code"]), np.asarray(found["aside"])


def check_dense(folder: Path) -> None:
    wanted = dict(np.load(folder / "io.npz"))
    file = weights(folder)
    held = converted(folder, str(file), "--generator", "decoder", generator="decoder")
    grey = {n: np.repeat(wanted[n], 3, 1) for n in ("img", "img_rec", "img_rec_mean")}
    found = {"img": half(held, wanted["z"]), "img_rec": half(held, wanted["z_reparam"])}
    found["mu"], found["logvar"] = seen(folder.name, colours(2 * wanted["x"] - 1))
    found["img_rec_mean"] = half(held, found["mu"])
    compare(wanted | grey, found)


def weights(folder: Path) -> Path:
    """The checkpoint of a folder, or the published one that it describes, if that is at hand."""
    held = [path for path in folder.iterdir() if path.suffix == ".pth"]
    if held:
        return held[0]
    facts = json.loads((folder / "meta.json").read_text("utf-8"))
    place = Path(os.environ.get("JAXINV_VAE_WEIGHTS", folder / Path(facts["weights_file"]).name))
    if not place.is_file():
        pytest.skip(f"needs {facts['weights_file']} of {facts['weights_repository']}")
    assert hashlib.sha256(place.read_bytes()).hexdigest() == facts["weights_sha256"]
    return place


def half(drawn: Drawn, z: np.ndarray) -> np.ndarray:
    """Images in [0, 1]."""
    return (drawn.images(z=z) + 1) / 2


def colours(images: np.ndarray) -> np.ndarray:
    """[n, C, h, w] as [n, h, w, 3]."""
    return np.broadcast_to(images.transpose(0, 2, 3, 1), (len(images), *images.shape[2:], 3))


def check_kl(folder: Path) -> None:
    held = converted(
        folder, checkpoint(folder, ".safetensors"), "--generator", "decoder", generator="decoder"
    )
    wanted = held.wanted
    scale, shift = dict(held.gen.spec.facts)["plan"][5:7]

    def scaled(latents: np.ndarray) -> np.ndarray:
        return ((latents - shift) * scale).reshape(len(latents), -1)

    z = scaled(wanted["z"])
    found = {"img": held.images(z=z)}
    code, spread = seen(folder.name, colours(wanted["x"]))
    cells = wanted["moments"][:, : wanted["z"].shape[1]].shape
    found["moments"] = np.concatenate(
        [(code / scale + shift).reshape(cells), spread.reshape(cells)], 1
    )
    found["img_rec"] = held.images(z=code)
    states = held.states({"z": z[0]})
    for name in wanted:
        if name.startswith("feat_dec_"):
            found[name] = channels_first(states[name.removeprefix("feat_dec_")]["x"])
    compare(wanted, found)


CHECKS = {"vae-mlp-csinva": check_dense, "diffusers-autoencoder-kl": check_kl}
