"""Claims of exactness: linear generators, and chains of dense layers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.operators import build as build_operator
from jaxinv.operators import gaussian_matrix, seeded
from jaxinv.presets import PRESETS
from jaxinv.specs import OperatorSpec, Preset, SolverSpec, Term
from tests.benchmarks.methods.claims import Claim, Found, restated, search, spent
from tests.benchmarks.methods.sources import DENSE, LINEAR, random_net

COUNT, CODES, EXACT = 40, 8, 1e-3
FEW = OperatorSpec("dense", count=COUNT)
SIZE = LINEAR.resolution**2 * 3


def apart(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Relative errors [B]."""
    return np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth, axis=1)


def codes(width: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((CODES, width)).astype(np.float32)


def measured_codes(preset: Preset) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Codes found from 40 of 192 numbers, the true ones, the product A G, and the evaluations."""
    pair, z = random_net(LINEAR), codes(LINEAR.z_dim)
    matrix = np.asarray(pair[1]["synthesis"]["layer0"]["kernel"])
    shape = (LINEAR.resolution, LINEAR.resolution, 3)
    operator = build_operator(FEW, shape)
    images = (z @ matrix).reshape(-1, *shape)
    seen = np.stack([np.asarray(operator.apply(jnp.asarray(image))) for image in images])
    found = search(pair, seen, replace(preset, operator=FEW))
    rows = np.asarray(gaussian_matrix(seeded(FEW), COUNT, SIZE))
    return np.asarray(found.latents["z"]), z, rows @ matrix.T, spent(found)


def csgm_on_a_linear_net() -> Found:
    """Without the prior the code itself; with it the ridge regression that it poses."""
    own = PRESETS["csgm"]
    free = restated("csgm", replace(own.stages[0], terms=(Term("mse"),)))
    bare, truth, product, evaluations = measured_codes(free)
    held, _, _, _ = measured_codes(own)
    weight = own.stages[0].terms[1].weight
    # mean |y - M z|^2 + weight x mean z^2: both are means over their entries.
    inner = product.T @ product / COUNT + weight * np.eye(LINEAR.z_dim) / LINEAR.z_dim
    ridge = np.linalg.solve(inner, product.T @ (truth @ product.T).T / COUNT).T
    exact, posed = apart(bare, truth), apart(held, ridge)
    return Found(
        f"error of z without prior {exact.max():.1e}; with it, from the ridge {posed.max():.1e}, "
        f"from z {apart(held, truth).max():.1e}",
        bool(max(exact.max(), posed.max()) < EXACT),
        evaluations,
        f"{CODES} codes, {COUNT} of {SIZE} numbers",
    )


def pgd_on_a_linear_net() -> Found:
    """The preset's 10 outer steps, 100 of them, and 100 whose inner search is exact."""
    first, step = PRESETS["pgd-gan"].stages[:2]
    exactly = replace(step, steps=12, solver=SolverSpec("lbfgs"))
    short, truth, product, few = measured_codes(PRESETS["pgd-gan"])
    long, _, _, many = measured_codes(restated("pgd-gan", first, *(step,) * 100))
    sharp, _, _, fewer = measured_codes(restated("pgd-gan", first, *(exactly,) * 100))
    net = np.asarray(random_net(LINEAR)[1]["synthesis"]["layer0"]["kernel"])
    # An exact projection leaves z - reach (G'G)^-1 (AG)'(AG) z of an error z.
    slow = np.linalg.eigvals(np.linalg.solve(net @ net.T, product.T @ product)).real.min()
    errors = [f"{apart(z, truth).max():.1e}" for z in (short, long, sharp)]
    return Found(
        f"error of z {errors[0]} after the preset's 10 outer steps, {errors[1]} after 100, "
        f"{errors[2]} with L-BFGS inside; exact projections leave at most "
        f"{1 - step.pgd_step_size * slow:.2f} of it at each step",
        bool(apart(sharp, truth).max() < EXACT),
        f"{few} / {many} / {fewer}",
        f"{CODES} codes, {COUNT} of {SIZE} numbers",
    )


def layer_by_layer(name: str) -> Found:
    pair, z = random_net(DENSE), codes(DENSE.z_dim)
    draw = jax.vmap(lambda code: pair[0].synthesize(pair[1], {"z": code}, DENSE.resolution))
    found = search(pair, np.asarray(draw(jnp.asarray(z))), name)
    worst = apart(np.asarray(found.latents["z"]), z).max()
    return Found(
        f"worst error of z {worst:.1e}", bool(worst < EXACT), "1 sweep", f"{CODES} own, 28 px"
    )


LEI = "Lei et al. 2019, section 5.1"
ABERDAM = "Aberdam et al. 2020, section 4"
SWEPT = {"lei-lp": LEI, "lei-lp-relaxed": LEI, "aberdam": ABERDAM, "aberdam-nnls": ABERDAM}
CLAIMS = (
    Claim(
        "csgm-linear", ("csgm",), "Bora et al. 2017, theorem 1.2",
        "a linear generator is recovered from a few Gaussian measurements", f"error < {EXACT:g}",
        csgm_on_a_linear_net,
    ),
    Claim(
        "pgd-linear", ("pgd-gan",), "Shah & Hegde 2018, theorem 2.2",
        "projected gradients converge to the image that was measured",
        f"error < {EXACT:g} after 100 outer steps (preset: 10) of 12 evaluations of L-BFGS",
        pgd_on_a_linear_net,
    ),
    *(
        Claim(
            f"{name}-exact", (name,), paper, "z of a 20-60-784 ReLU net comes back",
            f"error < {EXACT:g}", partial(layer_by_layer, name),
        )
        for name, paper in SWEPT.items()
    ),
)  # fmt: skip
