"""What the FFHQ generator draws: the package's own files in the OpenVINO runtime, in float32.

Run from the repository's root with `python -m tests.goldens.make_ffhq`; it writes ffhq.npz beside
this file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxinv.models.zoo import ZOO
from tests.weights import members

# The runtime reports home when it is imported, from a process of its own; without this package it
# cannot.
sys.modules["openvino_telemetry"] = None  # pyright: ignore[reportArgumentType]

GOLDEN = Path(__file__).with_name("ffhq.npz")
SEEDS = (0, 1)
CORNERS = ((0, 0), (512, 512), (301, 640), (1016, 77))  # of the full-resolution patches
PATCH, COARSE = 8, 16
Network = Callable[[np.ndarray], np.ndarray]


def latent(seed: int) -> np.ndarray:
    """z [512] of one seed."""
    return np.random.default_rng(seed).standard_normal(512, np.float32)


def networks() -> tuple[Network, Network]:
    """(z [512] -> w [512], w [512] -> image [1024, 1024, 3]) as the package exports them."""
    (output,) = ZOO["ffhq"].outputs
    files = {Path(k).name: v for k, v in members(ZOO["ffhq"].archive, dict(output.members)).items()}
    mapping, synthesis = (compile_graph(files, name) for name in ("Mapping", "Synthesis"))
    return (
        lambda z: mapping(z[None])[0],
        lambda w: synthesis(w[None])[0].transpose(1, 2, 0),
    )


def compile_graph(files: dict[str, bytes], name: str) -> Network:
    """One graph, on the CPU, in float32: the runtime's own choice may be bfloat16."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(files[f"{name}Network.xml"], files[f"{name}Network.bin"])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: np.asarray(compiled([x])[0])


def patches(image: np.ndarray) -> np.ndarray:
    """[corners, PATCH, PATCH, 3] at full resolution."""
    return np.stack([image[y : y + PATCH, x : x + PATCH] for y, x in CORNERS])


def coarse(image: np.ndarray) -> np.ndarray:
    """[COARSE, COARSE, 3] cell means."""
    cell = len(image) // COARSE
    return image.reshape(COARSE, cell, COARSE, cell, 3).mean((1, 3))


def main() -> None:
    """Compute and write the golden values."""
    mapping, synthesis = networks()
    w = np.stack([mapping(latent(seed)) for seed in SEEDS])
    images = [synthesis(one) for one in w]
    np.savez_compressed(
        GOLDEN,
        w=w[:, :8],
        coarse=np.stack([coarse(image) for image in images]),
        patches=np.stack([patches(image) for image in images]),
    )


if __name__ == "__main__":
    main()
