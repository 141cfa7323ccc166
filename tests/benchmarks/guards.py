"""The rows that hold jaxinv against itself: batches, loops, line searches, start-up, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv.inversion.problem import NetworkParams
from jaxinv.inversion.statistics import with_statistics
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import build, load_features, load_generator
from jaxinv.models.zoo import is_present
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.specs import SolverSpec, Stage, Term, Variable
from jaxinv.types import Array, Params
from tests import published
from tests.benchmarks import engine
from tests.benchmarks.speed import Options
from tests.benchmarks.timing import measure
from tests.tiny import mobile

SIDE = 64
STEPS = {1: 16, 8: 4, 16: 2}  # per turn, by lanes
ADAM = Stage((Variable("w+"),), (Term("mse"),), 100, SolverSpec("adam", 0.02))


def batch(options: Options) -> None:
    """Steps of 1, 8 and 16 lanes of a StyleGAN2, together and one by one."""
    gen, params = mobile(published.stylegan2("random", SIDE, 4096))
    weights = NetworkParams(params, {})
    sides: dict[str, Any] = {}
    for lanes, steps in STEPS.items():
        for width in {1, lanes}:
            case = engine.case(gen, weights, ADAM, SIDE, lanes, width=width)
            sides[f"{lanes} lanes, width {width}"] = engine.chunk(case, steps)
    found = measure(sides, options.repeats, options.clock)
    steps = {name: found[name] / STEPS[int(name.split()[0])] for name in found}
    alone = steps["1 lanes, width 1"]
    for name, seconds in steps.items():
        lanes = int(name.split()[0])
        ratio = seconds / (lanes * alone)
        print(f"   {name}: {1e3 * seconds:.1f} ms a step, {ratio:.2f} of {lanes} x 1 lane", end="")
        print(f", {1 / ratio:.2f} times its images/s")


def loop(options: Options) -> None:
    """With the pulled generator and the terms of `default`; without them on a tiny one."""
    if is_present("ffhq") and is_present("lpips"):
        gen, params = load_generator("ffhq")
        nets = load_features(engine.PRESET.nets)
        stage, size = engine.FACES, 256
        weights = NetworkParams(with_statistics(gen, params, engine.PRESET, nets), nets)
    else:
        gen, params = mobile()
        weights, stage, size = NetworkParams(params, {}), engine.PLAIN, 32
    engine.in_loop(engine.case(gen, weights, stage, size, 1), options.repeats)


def search(options: Options) -> None:
    del options
    engine.line_search()


def start(options: Options) -> None:
    """`python -m tests.benchmarks.first` several times over one cache folder."""
    with TemporaryDirectory() as folder:
        # As `models.weights.use_compilation_cache` does it, in a folder that is empty at first.
        environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        for turn in range(1 + min(options.repeats, 3)):
            command = [sys.executable, "-m", "tests.benchmarks.first"]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
            spent = json.loads(done.stdout)
            parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in spent.items())
            rest = sum(seconds for name, seconds in spent.items() if name != "imports")
            kind = "warm" if turn else "cold"
            print(f"   {kind}: {parts}; {rest:.2f} s besides imports", flush=True)


def memory(options: Options) -> None:
    """XLA's own count for one image and its gradient by W+; nothing is run."""
    del options
    for name, base in (("config-f", 32768), ("half of its channels", 16384)):
        gen = build(published.stylegan2(name, 1024, base))
        taken = gradient(gen).memory_analysis()
        print(f"   {name}: {taken.temp_size_in_bytes / 2**30:.2f} GiB", flush=True)


def gradient(gen: Generator) -> Any:
    """The compiled image of one sample and its gradient by W+; no weights are made."""
    params: Params = jax.eval_shape(gen.init, jax.random.key(0))
    params[BACKWARD_KERNELS] = jax.eval_shape(precompute_backward, params)

    def one(params: Params, w: Array, g: Array) -> tuple[Array, Array]:
        image, pull = jax.vjp(lambda w: gen.synthesize(params, {"w+": w}), w)
        return image, pull(g)[0]

    shaped: Callable[..., Any] = partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    side = gen.spec.resolution
    ws, g = shaped((gen.spec.rows, gen.spec.w_dim)), shaped((side, side, 3))
    return jax.jit(one).lower(params, ws, g).compile()
