"""An encoder that begins with the weights of another net keeps them, and learns what is its own."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxinv.encoders.lessons import prepare
from jaxinv.encoders.training import encoder_job
from jaxinv.models.features.backbones import NETS
from jaxinv.presets import ENCODERS
from jaxinv.training.data import Synthetic, batches
from tests.tiny import grown, style

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_the_net_stays_and_the_rest_learns() -> None:
    preset = replace(ENCODERS["start"], batch=8, steps=40)
    assert preset.nets == preset.pretrained == ("alexnet",)
    net = NETS["alexnet"].init(jax.random.key(1))
    lesson, given = prepare(*style(), preset, nets={"alexnet": net})
    assert (lesson.encoder.spec.output, lesson.encoder.spec.side) == ("w", 64)
    stream = batches(Synthetic(0), preset.batch, seed=0)
    job = encoder_job(lesson, given, preset.steps, [stream[1000]])
    state = job.init(jax.random.key(0))
    assert job.validate is not None
    first = job.validate(state)[0]["validation"]
    for number in range(preset.steps):
        state, _ = job.step(state, stream[number], jax.random.key(number), number)
    for layer, held in state["solver"].u["alexnet"].items():
        for name, array in held.items():
            np.testing.assert_array_equal(array, net[layer][name])
    assert job.validate(state)[0]["validation"] < 0.8 * first


def test_it_suits_generators_without_a_w_and_needs_its_net() -> None:
    net = NETS["alexnet"].init(jax.random.key(1))
    lesson, _ = prepare(*grown(), ENCODERS["start"], nets={"alexnet": net})
    assert lesson.encoder.spec.shape == (grown()[0].spec.z_dim,)
    with pytest.raises(ValueError, match="needs the nets alexnet; given: none"):
        prepare(*grown(), ENCODERS["start"], nets={})
