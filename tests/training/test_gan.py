"""Training a generator: one step by hand, its file, growing it, and the verb."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.cli.main import main
from jaxinv.io.checkpoints import load
from jaxinv.io.images import encode_png
from jaxinv.models.loading import build, load_generator
from jaxinv.nn.resample import blur_double
from jaxinv.training.gan import GENERATOR, GanSettings, gan_job
from jaxinv.training.loop import Job
from jaxinv.training.stylegan2 import draws, growth, save_generator, small_stylegan2
from tests.training.test_data import write

SPEC = small_stylegan2("tiny", 8, (6, 5), latent=4, mapping=1)
SETTINGS = GanSettings(batch=4, gamma=0.5, mixing=0.5)


def images(count: int = 4, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def job(**changes: Any) -> Job:
    settings = GanSettings(**{"batch": 4, "gamma": 0.5, "mixing": 0.5, **changes})
    return gan_job(SPEC, settings, images(8))


def first_adam(slopes: Any, rate: Any) -> Any:
    """The first step of Adam: the slope over its size."""
    return jax.tree.map(lambda g, r: -r * g / (jnp.abs(g) + 1e-8), slopes, rate)


@pytest.mark.slow
def test_one_step_is_the_one_written_by_hand() -> None:
    own, gen, key = job(), build(SPEC), jax.random.key(1)
    judge: Any = gen.discriminator
    state = own.init(jax.random.key(0))
    batch = {"image": jnp.asarray(images())}
    found, told = own.step(state, batch, key, 1)  # number 1: no penalty
    keys = jax.random.split(key, 4)

    def pictures(params: Any, key: Any) -> Any:
        drawn = draws(SPEC, jax.random.split(key)[0], 4, mixing=0.5)
        made = []
        for i in range(4):
            z, other = (gen.map(params, drawn[n][i]) for n in ("z", "other"))
            w = jnp.stack([other if r >= drawn["start"][i] else z for r in range(SPEC.rows)])
            noise = tuple(one[i] for one in drawn["noise"])
            made.append(gen.synthesize(params, {"w+": w, "noise": noise}))
        return jnp.stack(made)

    scores = lambda params, x: judge.scores({"discriminator": params}, x)  # noqa: E731
    real = batch["image"] / 127.5 - 1
    fake = pictures(state[GENERATOR], keys[0])

    def loss(params: Any) -> Any:
        return jnp.mean(jnp.log1p(jnp.exp(-scores(params, real)))) + jnp.mean(
            jnp.log1p(jnp.exp(scores(params, fake)))
        )

    value, slopes = jax.value_and_grad(loss)(state["discriminator"])
    np.testing.assert_allclose(told["loss_d"], value, rtol=1e-4)
    moved = jax.tree.map(lambda a, b: a - b, found["discriminator"], state["discriminator"])
    steps = first_adam(slopes, jax.tree.map(lambda g: 2e-3 * 16 / 17, slopes))
    flat = zip(*(jax.tree.leaves(tree) for tree in (moved, steps, slopes)), strict=True)
    for a, b, g in flat:
        sure = np.abs(g) > 1e-4
        ratio = (np.asarray(a) / np.asarray(b))[sure]
        assert np.ptp(ratio) < 1e-2 * ratio.max()  # one factor for each array, that of its gain
    fakes = scores(found["discriminator"], pictures(state[GENERATOR], keys[2]))
    np.testing.assert_allclose(told["loss_g"], np.log1p(np.exp(-fakes)).mean(), rtol=1e-4)
    decay = 0.5 ** (4 / (0.05 * 4))
    for average, before, now in zip(
        *(jax.tree.leaves(t) for t in (found["average"], state[GENERATOR], found[GENERATOR])),
        strict=True,
    ):
        np.testing.assert_allclose(average, decay * before + (1 - decay) * now, atol=1e-6)


def test_penalties_come_every_so_many_steps() -> None:
    own, runs = job(lazy=3, path=2.0, path_lazy=2), []
    gan: Any = own.step.__self__  # type: ignore[attr-defined]
    for name in ("discriminate", "penalise", "generate", "shorten"):
        setattr(gan, name, lambda s, b, k, name=name: (runs.append(name[0]), (s, {}))[1])
    for number in range(6):
        own.step({}, {}, jax.random.key(0), number)
        runs.append("|")
    assert "".join(runs) == "dpgs|dg|dgs|dpg|dgs|dg|"


@pytest.mark.slow
def test_initial_networks_keep_their_scale() -> None:
    spec = small_stylegan2("x", 16, (32, 32, 16), latent=32, mapping=4)
    own = gan_job(spec, GanSettings(), images(2, 16))
    state, gen = own.init(jax.random.key(0)), build(spec)
    drawn = draws(spec, jax.random.key(1), 16, mixing=0.0)
    gan: Any = own.step.__self__  # type: ignore[attr-defined]
    fakes = gan.sample(state["average"], drawn)
    assert 0.3 < float(fakes.std()) < 4
    scores = gan._scores(state["discriminator"], fakes, None)
    assert 0.01 < float(jnp.abs(scores).mean()) < 10
    assert gen.spec.rows == 6


def test_a_smaller_generator_is_taken_over(tmp_path: Path) -> None:
    small = job().init(jax.random.key(5))
    file = tmp_path / "small.safetensors"
    save_generator(file, SPEC, {**small["average"], "discriminator": small["discriminator"]})
    wide = small_stylegan2("wide", 16, (6, 5, 4), latent=4, mapping=1)
    start = load(file)[0]
    state = gan_job(wide, SETTINGS, images(2, 16), start).init(jax.random.key(6))
    for name in ("const", "b8_conv1", "b4_torgb"):
        held = state[GENERATOR]["synthesis"][name], start["synthesis"][name]
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, *held)))
    judges = state["discriminator"]["dense"], start["discriminator"]["dense"]
    np.testing.assert_array_equal(*(judge["kernel"] for judge in judges))
    assert not np.any(state[GENERATOR]["synthesis"]["b16_torgb"]["weight"])
    assert np.any(state[GENERATOR]["synthesis"]["b16_conv0"]["kernel"])
    gens = build(SPEC), build(wide)
    w = jnp.ones((6, 4))
    low = gens[0].synthesize(start, {"w+": w[:4]})
    high = gens[1].synthesize(state[GENERATOR], {"w+": w})
    np.testing.assert_allclose(high, blur_double(low), atol=1e-4)


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("batch", 0, "batch must be a whole number of at least 1"),
        ("parts", 3, "batch 16 in 3 parts; allowed: divisors of it"),
        ("rate", 0.0, "rate must be above 0"),
        ("gamma", -1.0, "gamma must be at least 0"),
        ("mixing", 1.5, "mixing must be at most 1"),
        ("dtype", "float8", "unknown dtype 'float8'"),
    ],
)
def test_settings_that_make_no_sense(field: str, value: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        GanSettings(**{field: value})


def data(tmp_path: Path, broken: bool = False) -> str:
    contents = {f"{i}.png": encode_png(one) for i, one in enumerate(images(40, 16))}
    if broken:
        contents["7.png"] = b"no picture"
    return str(write("zip", tmp_path, contents))


def verb(zip_file: str, run: Path, steps: int, *more: str) -> list[str]:
    sizes = ["--size", "8", "--widths", "6,5", "--latent", "4", "--mapping", "1", "--batch", "8"]
    every = ["--log-every", "2", "--save-every", "3", "--validate-every", "6"]
    begin = ["train-generator", "stylegan2", "--data", zip_file, "-o", str(run)]
    return [*begin, "--steps", str(steps), *sizes, *every, *more]


@pytest.mark.slow
def test_the_verb_trains_a_generator_that_everything_can_use(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(verb(data(tmp_path, broken=True), run, 6, "--augment", "--path", "1")) == 3
    gen, params = load_generator(str(run / "generator.safetensors"))
    assert gen.spec.resolution == 8
    assert gen.discriminator is not None
    assert "statistics" in params
    shown = ["-n", "4", "-o", str(tmp_path / "g.png")]
    assert main(["sample", str(run / "generator.safetensors"), *shown]) == 0
    assert "7.png" in (run / "report.html").read_text("utf-8")
    facts = json.loads((run / "run.json").read_text("utf-8"))["facts"]
    assert facts["gamma"] == 1
    assert main(verb(data(tmp_path), run, 6, "--augment", "--path", "1", "--gamma", "2")) == 2


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        (["--widths", "6"], "the size is 8 px"),
        (["--parts", "3"], "batch 8 in 3 parts"),
        (["--labels", "hair"], "attributes.jsonl"),
        (["--grow", "absent.safetensors"], "absent.safetensors"),
    ],
)
def test_the_verb_refuses_before_it_compiles(
    more: list[str], wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(verb(data(tmp_path), tmp_path / "run", 2, *more)) == 2
    assert wrong in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_killed_at_random_moments_the_verb_ends_with_the_same_weights(tmp_path: Path) -> None:
    place, weights = data(tmp_path), []
    for name, kills in (("killed", 5), ("whole", 0)):
        command = [sys.executable, "-m", "jaxinv", *verb(place, tmp_path / name, 60)]
        draws_, done = random.Random(2), 0
        while done < kills:
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            time.sleep(draws_.uniform(4, 20))
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        weights.append(load(tmp_path / name / "generator.safetensors")[0])
    same = jax.tree.map(np.array_equal, *weights)
    assert all(jax.tree.leaves(same))


@pytest.mark.slow
def test_eight_devices_give_the_losses_of_one(tmp_path: Path) -> None:
    place, logs = data(tmp_path), []
    for count in (1, 8):
        flags = f"--xla_force_host_platform_device_count={count}"
        command = [sys.executable, "-m", "jaxinv", *verb(place, tmp_path / str(count), 12)]
        subprocess.run(command, check=True, env={**os.environ, "XLA_FLAGS": flags})
        lines = (tmp_path / str(count) / "log.jsonl").read_text("utf-8").splitlines()
        logs.append([json.loads(line) for line in lines])
    for one, eight in zip(*logs, strict=True):
        for name in ("loss_d", "loss_g"):
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-4)


def test_what_is_grown_from_a_smaller_pair_is_told() -> None:
    small = build(SPEC)
    judge: Any = small.discriminator
    start = {
        **jax.eval_shape(small.init, jax.random.key(0)),
        "discriminator": jax.eval_shape(judge.init, jax.random.key(0)),
    }
    first, second = growth(small_stylegan2("large", 16, (6, 5, 4), latent=4, mapping=1), start)
    assert first == (
        "generator: carried mapping, b4_conv1, b4_torgb, b8_conv0, b8_conv1, b8_torgb, const; "
        "anew b16_conv0, b16_conv1, b16_torgb"
    )
    assert second.startswith("discriminator: carried ")
    with pytest.raises(ValueError, match="no array of 'tiny' is carried from it"):
        growth(SPEC, {"layers": start["synthesis"]})
