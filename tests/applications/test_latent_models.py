"""Models of latents, on codes whose distribution and factors are known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.applications.latent_models import (
    Factors,
    codes_of,
    down,
    factors_of,
    ladder_path,
    learn_factors,
    learn_flow,
    learn_ladder,
    swap_factor,
    up,
    with_flow,
)
from jaxinv.edits.discovery.training import Training
from jaxinv.inversion.invert import invert
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.rendering import render
from jaxinv.nn import couplings
from jaxinv.specs import Preset, Stage, Term, Variable
from tests.tiny import chain

pytestmark = pytest.mark.usefixtures("quick_compilation")
FAST = Training(400, 5e-3, report=lambda line: None)
MIX = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]


def bent(count: int, seed: int) -> np.ndarray:
    """Codes [n, 4] on a bent sheet that is far from normal."""
    draws = np.random.default_rng(seed).standard_normal((count, 4))
    draws[:, 1] = 0.3 * draws[:, 1] + draws[:, 0] ** 2
    return (draws @ MIX + 3).astype(np.float32)


def skew(x: np.ndarray) -> float:
    """The largest skewness of the numbers of codes [n, d]."""
    return float(np.abs(((x - x.mean(0)) ** 3).mean(0) / x.std(0) ** 3).max())


def factor_codes(seed: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Codes of two factors [n] and of two numbers of noise, mixed."""
    noise = np.random.default_rng(seed).standard_normal((len(first), 2))
    return (np.concatenate([noise, np.stack([first, second], 1)], 1) @ MIX).astype(np.float32)


def taught() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs that share the first factor, and pairs that share the second."""
    draws = np.random.default_rng(1).standard_normal((6, 3000))
    one = factor_codes(2, draws[0], draws[1]), factor_codes(3, draws[0], draws[2])
    two = factor_codes(4, draws[3], draws[4]), factor_codes(5, draws[5], draws[4])
    return [one, two]


@pytest.mark.slow
def test_codes_become_normal_and_normal_draws_become_codes() -> None:
    flow = learn_flow(bent(4000, 0), training=FAST)
    y = np.asarray(couplings.forward(flow, jnp.asarray(bent(2000, 1)))[0])
    assert np.abs(y.mean(0)).max() < 0.2
    np.testing.assert_allclose(np.cov(y.T), np.eye(4), atol=0.3)
    skews = [skew(x) for x in (y, bent(2000, 1) @ MIX.T)]
    assert skews[0] < 0.5 * skews[1]  # 1.3 of 3.2
    normal = jnp.asarray(np.random.default_rng(2).standard_normal((2000, 4)))
    draws = np.asarray(couplings.inverse(flow, normal))
    sheet = (draws - 3) @ MIX.T
    assert np.corrcoef(sheet[:, 1], sheet[:, 0] ** 2)[0, 1] > 0.8


@pytest.mark.slow
def test_pairs_teach_factors_that_can_be_swapped() -> None:
    model = learn_factors(taught(), (2, 1, 1), training=FAST._replace(steps=600))
    draws = np.random.default_rng(7).standard_normal((2, 500))
    codes = factor_codes(8, *draws)
    found = factors_of(model, codes)
    own = [abs(np.corrcoef(found[1 + k][:, 0], draws[k])[0, 1]) for k in range(2)]
    other = [abs(np.corrcoef(found[1 + k][:, 0], draws[1 - k])[0, 1]) for k in range(2)]
    assert min(own) > 0.9
    assert max(other) < 0.2
    swapped = swap_factor(model, codes, codes[::-1], 1) @ MIX.T
    assert np.corrcoef(swapped[:, 2], draws[0][::-1])[0, 1] > 0.9
    assert np.corrcoef(swapped[:, 3], draws[1])[0, 1] > 0.9


def test_factors_and_codes_are_inverse() -> None:
    draws = np.random.default_rng(0)
    flow = couplings.init(jax.random.key(0), 4, 3, 8)
    flow = jax.tree.map(lambda a: a + 0.3 * draws.standard_normal(a.shape).astype("f"), flow)
    model = Factors(flow, (1, 1, 2), np.full(4, 0.5, "f"), np.full(4, 2.0, "f"))
    codes = bent(20, 0)
    factors = factors_of(model, codes)
    assert [f.shape[1] for f in factors] == [1, 1, 2]
    np.testing.assert_allclose(codes_of(model, factors), codes, atol=1e-3)
    np.testing.assert_allclose(swap_factor(model, codes, codes, 2), codes, atol=1e-3)
    with pytest.raises(ValueError, match="factor 3; allowed: 0 to 2"):
        swap_factor(model, codes, codes, 3)
    with pytest.raises(ValueError, match=r"allowed: \[n, 4\]"):
        factors_of(model, codes[:, :3])


@pytest.mark.slow
def test_a_ladder_keeps_what_codes_share_and_walks_along_their_sheet() -> None:
    angles = np.random.default_rng(0).uniform(-2.2, 2.2, 3000)
    circle = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], 1)
    codes = (circle @ MIX + 0.02 * np.random.default_rng(1).standard_normal((3000, 4))).astype("f")
    model = learn_ladder(codes, 1, training=FAST._replace(steps=1500))
    again = down(model, up(model, codes))
    assert np.linalg.norm(again - codes, axis=1).mean() < 0.15
    ends = codes[np.argmin(abs(angles - 1.5))], codes[np.argmin(abs(angles + 1.5))]
    path = ladder_path(model, *ends, 7)
    np.testing.assert_allclose(path[[0, -1]], ends, atol=1e-5)
    radius = np.linalg.norm(path, axis=1)  # a straight line comes within .1 of the middle
    assert radius.min() > 0.7


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: learn_flow(np.zeros((5, 3), "f")), "never changes"),
        (lambda: learn_flow(bent(9, 0)[:, :1]), r"allowed: \[n, d\]"),
        (lambda: learn_flow(bent(1, 0)), r"allowed: \[n, d\]"),
        (lambda: learn_flow(bent(9, 0), blocks=0), "blocks"),
        (lambda: learn_ladder(bent(9, 0), 4), "allowed: 1 to 3"),
        (lambda: learn_factors([], (4,)), "unequal shapes, or none"),
        (lambda: learn_factors([(bent(9, 0), bent(8, 0))], (2, 2)), "unequal shapes"),
        (lambda: learn_factors([(bent(9, 0), bent(9, 1))], (2, 3)), "add up to 4"),
        (lambda: learn_factors([(bent(9, 0), bent(9, 1))], (4,)), "2 sizes"),
        (lambda: learn_factors([(bent(9, 0), bent(9, 1))], (4, 0)), "size of a factor"),
    ],
)
def test_what_cannot_be_learned_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_a_search_in_the_learned_prior_draws_the_same_pictures() -> None:
    """A network that only orders numbers anew: the search is that in z, for any of them."""
    gen, params = chain()
    made = with_flow(params, couplings.init(jax.random.key(0), gen.spec.z_dim))
    latents = sample_latents(gen, params, 1, seed=3)
    images = render(gen, params, latents)
    found = []
    for codec, some in (("identity", params), ("flow", made)):
        stage = Stage((Variable("z", codec=codec),), (Term("mse"),), 12)
        found.append(invert(gen, some, images, preset=Preset("p", (stage,), "", ""), nets={}))
    np.testing.assert_allclose(found[0].latents["z"], found[1].latents["z"], atol=1e-4)
    with pytest.raises(ValueError, match="a learned prior, which generator 'chain' lacks"):
        invert(gen, params, images, preset="lia", nets={})
