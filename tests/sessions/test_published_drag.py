"""A session's drag against the published one: points and losses step by step (see the fixture)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.models.generators.base import Generator, missing_capability
from jaxinv.sessions.dragging import Drag
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Params
from tests.net_fixtures.rules import read_arrays
from tests.test_net_fixtures import FIXTURES

FOLDER = FIXTURES / "draggan"
ROWS, WIDTH, TOY, SIDE = 10, 6, 16, 256
FREE = 6  # rows that move


def waves(held: dict[str, np.ndarray]) -> Generator:
    """The generator of the fixture, of which only features matter."""
    spec = GeneratorSpec(
        "waves", "waves", resolution=SIDE, z_dim=WIDTH, w_dim=WIDTH, rows=ROWS,
        styles=(WIDTH,) * ROWS,
    )  # fmt: skip

    def run(params: Params, code: Any, noise: Any, state: Any, part: Any) -> Any:
        del params, noise, state, part
        dy, dx = jnp.asarray(held["uv"]) @ jnp.concatenate(code[:FREE])
        y, x = jnp.meshgrid(jnp.arange(TOY * 1.0), jnp.arange(TOY * 1.0), indexing="ij")
        freq = jnp.asarray(held["freq"])
        places = freq[:, 0] * (y - dy)[..., None] + freq[:, 1] * (x - dx)[..., None]
        return {"x": jnp.cos(places + jnp.asarray(held["phase"]))}

    return Generator(
        spec=spec,
        steps=("draw",),
        init=lambda key: {},
        map=lambda params, z: z,
        affine=lambda params, w: tuple(w),
        embed=missing_capability(spec, "class embedding"),
        run=run,
        stored_noise=lambda params: (),
    )


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason="no fixture of draggan")
def test_points_and_losses_are_the_published_ones() -> None:
    held = read_arrays(FOLDER / "io.npz")
    places = held["points"][:, ::-1], held["targets"][:, ::-1]
    search = Drag(waves(held), {}, {"w+": jnp.asarray(held["w0"][0])}, places, rate=0.008)
    for step, loss in enumerate(held["nomask_losses"]):
        search.step()
        np.testing.assert_allclose(search.points[:, ::-1], held["nomask_points_after"][step])
        assert search.over == held["nomask_stop"][step]
        if not search.over:
            # float32 against float64, and slopes of |x| that rounding decides: see `tuning`.
            assert float(search.now.loss) == pytest.approx(loss, rel=2e-3)
