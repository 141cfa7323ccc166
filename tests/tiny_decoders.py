"""Small generators of the newer families, with random weights, ready for the engine."""

from __future__ import annotations

from functools import partial

from jaxinv.specs import GeneratorSpec
from tests.tiny import mobile

SPECS = {
    "r3gan": GeneratorSpec(
        "r3gan",
        "r3gan",
        resolution=16,
        z_dim=6,
        labels=3,
        embedding=5,
        facts=(("stages", ((12, 16, (4,)), (12, 16, (2, 2)), (8, 12, (3,)))),),
    ),
    # A gate of the last block by the first features; classes; noise behind every convolution.
    "fastgan": GeneratorSpec(
        "fastgan",
        "fastgan",
        resolution=16,
        z_dim=6,
        noise=(8, 8, 16, 16),
        labels=3,
        embedding=6,
        facts=(
            ("first", 8),
            ("blocks", ((8, 2, -1), (6, 2, 0))),
            ("noisy", (0, 1)),
            ("normalised", True),
            ("tanh", False),
        ),
    ),
    "lightweight": GeneratorSpec(
        "lightweight",
        "lightweight",
        resolution=16,
        z_dim=6,
        noise=(8, 16),
        facts=(
            ("first", 8),
            ("layers", ((8, 0, 1, 3, "pooled"), (6, 64, -1, 0, "pooled"))),
            ("smoothed", True),
        ),
    ),
    "lucidrains": GeneratorSpec(
        "lucidrains",
        "lucidrains",
        resolution=16,
        z_dim=8,
        w_dim=8,
        rows=3,
        styles=(16 * 12, 12, 12, 12, 12, 8, 8, 8, 6, 6),
        noise=(16,),
        facts=(
            ("attention", (0, 64, 0)),
            ("first", 12),
            ("mapped_start", True),
            ("mapping_layers", 2),
            ("widths", (12, 8, 6)),
        ),
    ),
    "styleswin": GeneratorSpec(
        "styleswin",
        "styleswin",
        resolution=16,
        z_dim=8,
        w_dim=8,
        rows=6,
        styles=(32, 32, 32, 32, 32, 32, 32, 32, 16, 16, 16, 16),
        facts=(
            ("mapping_layers", 2),
            ("stages", ((16, 4, 4, 32), (16, 4, 8, 32), (8, 2, 8, 16))),
        ),
    ),
    "autoencoder-kl": GeneratorSpec(
        "autoencoder-kl",
        "autoencoder-kl",
        resolution=16,
        z_dim=2 * 8 * 8,
        facts=(("plan", (2, 8, (8, 4), 2, 2, 0.5, 0.1, True, True)),),
    ),
    # Two layers: one repeats samples, one is transposed.
    "wavegan": GeneratorSpec(
        "wavegan",
        "wavegan",
        resolution=16,
        z_dim=6,
        facts=(
            ("first", 8),
            ("layers", ((6, 25, 4, False), (1, 25, 4, True))),
            ("samples", 256),
        ),
    ),
    "eg3d": GeneratorSpec(
        "eg3d",
        "eg3d",
        resolution=16,
        z_dim=6,
        w_dim=8,
        rows=4,
        styles=(8, 8, 8, 8, 8, 4, 8, 8, 8, 6, 6),
        noise=(4, 8, 8),
        camera=2,
        conditions=25,
        facts=(
            ("label", "embed"),
            ("label_width", 8),
            ("mapping_layers", 2),
            (
                "plan",
                (
                    (8, 8),
                    None,
                    4,
                    8,
                    8,
                    (4, 4, 2.25, 3.3, 1.0, False, False),
                    (8, (8, 6), (True, False), 4.0, True),
                    (2.7, (0.0, 0.0, 0.2), 4.2647),
                ),
            ),
        ),
    ),
    # The last three inputs are a class.
    "classes-of-a-chain": GeneratorSpec(
        "classes-of-a-chain",
        "dcgan",
        resolution=16,
        z_dim=5,
        labels=3,
        embedding=3,
        facts=(
            (
                "layers",
                (
                    ("dense", 6, "relu", 4),
                    ("up", 6, "relu", 0, 4, 2, 1),
                    ("up", 1, "tanh", 0, 4, 2, 1),
                ),
            ),
        ),
    ),
}
MAKERS = {name: partial(mobile, spec) for name, spec in SPECS.items()}
