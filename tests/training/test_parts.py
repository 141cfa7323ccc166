"""What trainers share, each against its closed form."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxinv.training.augmentation import adapted, augmented
from jaxinv.training.averages import decay_by_half_life, moved
from jaxinv.training.critics import (
    critic_loss,
    generator_loss,
    gradient_penalty,
    latent_critic,
    latent_critic_init,
    pool_init,
    query,
)
from jaxinv.training.equalised import (
    Gain,
    discriminator_gain,
    equalised,
    generator_gain,
    scaled,
)
from jaxinv.training.gradients import mean_gradients
from jaxinv.training.stylegan2 import small_stylegan2


def normal(seed: int, *shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_losses_of_scores() -> None:
    real, fake = jnp.asarray([0.0, 2.0]), jnp.asarray([0.0, -1.0, 3.0])
    expected = np.log1p(np.exp([0, -2])).mean() + np.log1p(np.exp([0, -1, 3])).mean()
    np.testing.assert_allclose(critic_loss(real, fake), expected, rtol=1e-6)
    expected = np.log1p(np.exp([0, 1, -3])).mean()
    np.testing.assert_allclose(generator_loss(fake), expected, rtol=1e-6)


def test_the_gradient_penalty_of_known_scores() -> None:
    a, x = normal(0, 2, 3), normal(1, 5, 2, 3)
    linear = gradient_penalty(lambda x: jnp.sum(a * x, (1, 2)), x)
    np.testing.assert_allclose(linear, jnp.sum(a**2), rtol=1e-5)
    square = gradient_penalty(lambda x: 0.5 * jnp.sum(a * x * x, (1, 2)), x)
    np.testing.assert_allclose(square, jnp.mean(jnp.sum((a * x) ** 2, (1, 2))), rtol=1e-5)


def test_the_latent_critic_by_hand() -> None:
    params = latent_critic_init(jax.random.key(0), 6)
    assert [p["kernel"].shape for p in params.values()] == [(6, 6)] * 3 + [(6, 1)]
    w = normal(0, 4, 6)
    x = np.asarray(w)
    for index, layer in enumerate(params.values()):
        x = x @ layer["kernel"] + layer["bias"]
        x = np.where(x > 0, x, 0.2 * x) if index < 3 else x
    np.testing.assert_allclose(latent_critic(params, w), x[:, 0], rtol=1e-5, atol=1e-6)


def test_a_pool_fills_first_and_then_swaps_half_of_the_time() -> None:
    pool, total, ask = pool_init((2,), 5), 0, jax.jit(query)
    shown = []
    for step in range(40):
        fakes = jnp.stack([jnp.full(2, 10.0 * step + i) for i in range(4)])
        before = np.asarray(pool.held)
        pool, seen = ask(pool, fakes, jax.random.key(step))
        known = {*before[:, 0].tolist(), *np.asarray(fakes)[:, 0].tolist()}
        assert set(np.asarray(seen)[:, 0].tolist()) <= known
        if step == 0:
            np.testing.assert_array_equal(seen, fakes)
            np.testing.assert_array_equal(pool.held[:4], fakes)
        else:
            shown.append((np.asarray(seen) != np.asarray(fakes))[:, 0].mean())
        total = int(pool.count)
    assert total == 5
    assert 0.35 < np.mean(shown[1:]) < 0.65


def test_a_pool_of_size_zero_passes_everything() -> None:
    fakes = normal(0, 3, 2)
    pool, seen = query(pool_init((2,), 0), fakes, jax.random.key(0))
    np.testing.assert_array_equal(seen, fakes)
    assert pool.held.shape == (0, 2)


def test_the_moving_average_in_closed_form() -> None:
    average, steps = {"a": jnp.asarray(2.0)}, 7
    for _ in range(steps):
        average = moved(average, {"a": jnp.asarray(5.0)}, 0.9)
    np.testing.assert_allclose(average["a"], 5 - 3 * 0.9**steps, rtol=1e-6)


def test_the_half_life_and_its_ramp() -> None:
    late = decay_by_half_life(jnp.asarray(1e9), 16, 5000)
    np.testing.assert_allclose(late ** (5000 / 16), 0.5, rtol=1e-3)
    early = decay_by_half_life(jnp.asarray(1600.0), 16, 5000)
    np.testing.assert_allclose(early, 0.5 ** (16 / 80), rtol=1e-6)
    np.testing.assert_allclose(
        decay_by_half_life(jnp.asarray(0.0), 16, 5000, 0.0), 0.5 ** (16 / 5000), rtol=1e-6
    )


@pytest.mark.parametrize(("p", "least"), [(0.0, 0), (1.0, 30)])
def test_augmentation_moves_and_mirrors_whole_pixels(p: float, least: int) -> None:
    images = jnp.asarray(np.random.default_rng(0).integers(0, 99, (40, 16, 16, 3)), jnp.float32)
    found = np.asarray(augmented(jax.random.key(0), images, jnp.asarray(p)))
    changed = [bool((a != b).any()) for a, b in zip(found, np.asarray(images), strict=True)]
    assert least <= sum(changed) <= 40 * p
    for one, image in zip(found, np.asarray(images), strict=True):
        wide = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        cuts = [wide[r : r + 16, c : c + 16] for r in range(5) for c in range(5)]
        mirrored = np.pad(image[:, ::-1], ((2, 2), (2, 2), (0, 0)), mode="reflect")
        cuts += [mirrored[r : r + 16, c : c + 16] for r in range(5) for c in range(5)]
        assert any((one == cut).all() for cut in cuts)


def test_augmentation_adapts_to_the_signs() -> None:
    np.testing.assert_allclose(adapted(jnp.asarray(0.5), jnp.asarray(0.9), 500), 0.501, rtol=1e-5)
    np.testing.assert_allclose(adapted(jnp.asarray(0.5), jnp.asarray(0.1), 500), 0.499, rtol=1e-5)
    assert adapted(jnp.asarray(0.0), jnp.asarray(0.0), 500) == 0
    assert adapted(jnp.asarray(1.0), jnp.asarray(1.0), 500) == 1


def test_equalised_rates_are_those_of_scaled_weights() -> None:
    gain, rate, x = 0.3, 1e-2, normal(1, 5, 4)
    found = equalised(
        lambda key: {"k": jnp.zeros((4, 2))}, jax.random.key(0), lambda *_: Gain(gain, 0.0, gain)
    )
    adam: Any = optax.scale_by_adam(b1=0.0, b2=0.99, eps=1e-12)
    value = lambda k: jnp.sum((x @ k - 1) ** 2)  # noqa: E731
    own, raw = found.params["k"], found.params["k"] / gain
    states = adam.init(own), adam.init(raw)
    for _ in range(5):
        step, first = adam.update(jax.grad(value)(own), states[0])
        own = own + scaled(step, found.rates["k"], rate)
        step, second = adam.update(jax.grad(lambda raw: value(gain * raw))(raw), states[1])
        raw, states = raw - rate * step, (first, second)
    np.testing.assert_allclose(own, gain * raw, rtol=1e-4)


@pytest.mark.parametrize(
    ("rule", "path", "shape", "expected"),
    [
        (generator_gain, "mapping/fc0/kernel", (100, 7), (0.1, 0, 0.001)),
        (generator_gain, "mapping/fc0/bias", (7,), (0, 0, 0.01)),
        (generator_gain, "mapping/embed/kernel", (100, 7), (0.1, 0, 0.1)),
        (generator_gain, "synthesis/const", (4, 4, 9), (1, 0, 1)),
        (generator_gain, "synthesis/b8_conv0/kernel", (3, 3, 4, 5), (1 / 6, 0, 1 / 6)),
        (generator_gain, "synthesis/b8_conv0/style/kernel", (16, 4), (0.25, 0, 0.25)),
        (generator_gain, "synthesis/b8_conv0/style/bias", (4,), (0, 1, 1)),
        (generator_gain, "synthesis/b8_conv0/noise", (8, 8), (1, 0, 0)),
        (generator_gain, "synthesis/b8_conv0/strength", (), (0, 0, 1)),
        (generator_gain, "synthesis/b8_torgb/weight", (16, 3), (0.25, 0, 0.25)),
        (discriminator_gain, "b8/conv0/kernel", (3, 3, 4, 5), (2**0.5 / 6,) * 3),
        (discriminator_gain, "b8/conv1/kernel", (3, 3, 4, 5), (1 / 24,) * 3),
        (discriminator_gain, "b8/conv1/bias", (5,), (0, 0, 1)),
        (discriminator_gain, "b8/skip/kernel", (4, 5), (0.125 * 0.5**0.5,) * 3),
        (discriminator_gain, "dense/bias", (5,), (0, 0, 2**0.5)),
        (discriminator_gain, "out/kernel", (4, 1), (0.5, 0, 0.5)),
    ],
)
def test_gains_of_layers(rule: Any, path: str, shape: Any, expected: Any) -> None:
    found = rule(tuple(path.split("/")), shape)
    wanted = (expected[0], 0 if expected[0] == expected[1] else expected[1], expected[2])
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_slopes_of_parts_are_those_of_the_whole() -> None:
    batch = {"x": normal(0, 12, 3), "y": normal(1, 12)}

    def loss(w: Any, batch: Any, key: Any) -> Any:
        value = jnp.mean((batch["x"] @ w - batch["y"]) ** 2)
        return value, {"value": value}

    given = (loss, normal(2, 3), batch, jax.random.key(0))
    (value, told), slopes = mean_gradients(*given)
    for parts in (2, 3, 12):
        (own, other), found = mean_gradients(*given, parts)
        np.testing.assert_allclose((own, other["value"]), (value, told["value"]), rtol=1e-5)
        np.testing.assert_allclose(found, slopes, rtol=1e-5)
    with pytest.raises(ValueError, match="batch 12 in 5 parts; allowed: parts that divide it"):
        mean_gradients(*given, 5)


@pytest.mark.parametrize(("size", "widths"), [(16, (8, 8)), (12, (8, 8, 8)), (4, ())])
def test_widths_that_do_not_end_at_the_size(size: int, widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"the size is {size} px; allowed: one width for each"):
        small_stylegan2("x", size, widths)
