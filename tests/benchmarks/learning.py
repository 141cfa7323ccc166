"""What 200 steps leave of every encoder preset's loss: `... learning [NAME ...]`.

Narrow members, as the tests have them, of the packaged generator of 32 px, and of a DCGAN of 32 px
where codes are z; of a class and of styles on tiny generators with random weights. The loss is that
of held-out pictures before the first step and after the last one.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import jax

from jaxinv.encoders.base import Encoder
from jaxinv.encoders.lessons import prepare
from jaxinv.encoders.training import encoder_job
from jaxinv.models.loading import load_generator
from jaxinv.training.data import Synthetic, batches
from tests.encoders.test_presets_learn import LEFT, MEMORISED, NETS, narrow, narrow_before
from tests.problems import faces
from tests.tiny import classes, old

STEPS, BATCH, HELD = 200, 8, 4  # of held batches


@lru_cache
def generator(space: str) -> Any:
    """The generator on which codes of that space are learned."""
    if space in ("w", "w+"):
        return load_generator("avatars")
    return {"z": faces, "s": old, "label": classes}[space]()


@lru_cache
def before(name: str) -> tuple[Encoder, Any]:
    """A narrow encoder of the generator's W with random weights."""
    return narrow_before(name, *generator("w"))


def left(name: str, steps: int = STEPS) -> tuple[float, float]:
    """The loss of held pictures before and after so many steps; of `MEMORISED`, of the same ones.

    These correct an encoder, which has learned nothing here, and can do that only by heart.
    """
    made = narrow(name, batch=BATCH, steps=steps)
    gen, params = generator(made.plan.outputs[0])
    first = before(made.before) if made.before else None
    lesson, given = prepare(gen, params, made, nets=NETS, before=first)
    stream = batches(Synthetic(0), BATCH, seed=0)
    own = name in MEMORISED
    held = [stream[0]] if own else [stream[10_000 + i] for i in range(HELD)]
    job = encoder_job(lesson, given, steps, held)
    state = job.init(jax.random.key(0))
    if job.validate is None:
        raise ValueError(f"{name} is not validated")
    begun = job.validate(state)[0]["validation"]
    for number in range(steps):
        which = 0 if own else number
        state, _ = job.step(state, stream[which], jax.random.key(which), number)
    return begun, job.validate(state)[0]["validation"]


def report(names: list[str], steps: int = STEPS) -> None:
    """Print a line for each preset: the losses, what is left, and the seconds."""
    for name in names or list(LEFT):
        began = time.perf_counter()
        try:
            begun, ended = left(name, steps)
        except (ValueError, RuntimeError) as error:
            print(f"{name:24} {error!s:.120}", flush=True)
            continue
        took = time.perf_counter() - began
        print(
            f"{name:24} {begun:9.4f} -> {ended:9.4f}  {ended / begun:.2f}  {took:.0f} s", flush=True
        )
