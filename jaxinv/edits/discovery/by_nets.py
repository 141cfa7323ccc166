"""Methods by name that learn nets of scored samples: walks that keep other attributes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery import flows, regressor_walks
from jaxinv.edits.discovery.boundaries import unit
from jaxinv.edits.discovery.requests import (
    LENGTH,
    Request,
    direction,
    learning,
    scored,
    side,
    with_effects,
)
from jaxinv.edits.discovery.samples import draw_codes, pictures
from jaxinv.edits.discovery.training import Training, fit, small_net, small_net_init
from jaxinv.edits.walks import Walk

if TYPE_CHECKING:
    from jaxinv.edits.directions import Direction
    from jaxinv.types import Array, Key, Params

SHARP = 1.5  # deviations of a score to the log odds that the regressor learns
BATCH = 32
STEP = 0.2  # of Hijack-GAN's walk
FLOW_WIDTHS = (64, 512)  # least and most numbers of a layer of the flow
SCORE_DEVIATION = "a standard deviation of the score"


def _training(asked: Request, rate: float, label: str) -> Training:
    return Training(asked.steps, rate, seed=asked.seed, label=label, report=asked.report)


def regressor(asked: Request) -> list[Direction]:
    """A direction that a net of pictures leads to, learned together with those of what is kept."""
    _, values = scored(asked)
    _, latents = draw_codes(asked.gen, asked.params, asked.space, asked.samples, asked.seed)
    shown = np.concatenate(list(pictures(asked.gen, asked.params, latents, side(asked))))
    net = _regressor(asked, shown, values)
    draw, sample = learning(asked)
    vectors, _ = regressor_walks.global_directions(
        lambda data, codes: draw(data[0], codes),
        (asked.params, net),
        lambda data, key, count: sample(data[0], key, count),
        lambda data, images: _shares(data[1], images),
        _training(asked, 1e-2, "learning directions"),
    )
    found = direction(asked, unit(vectors[0]), LENGTH)
    return [with_effects(asked, found)]


def _shares(net: Params, images: Array) -> Array:
    return jax.nn.sigmoid(small_net(net, images)["attributes"])


def _regressor(asked: Request, shown: np.ndarray, values: np.ndarray) -> Params:
    """A net from pictures [n, h, w, 3] to scores [n, k] as shares in [0, 1]."""
    shares = jax.nn.sigmoid(SHARP * (values - values.mean(0)) / values.std(0))
    data = (jnp.asarray(shown), jnp.asarray(shares, float))

    def loss(net: Params, data: tuple[Array, Array], key: Key) -> Array:
        rows = jax.random.randint(key, (BATCH,), 0, len(data[0]))
        images = data[0][rows].astype(float) / 127.5 - 1
        return ((_shares(net, images) - data[1][rows]) ** 2).mean()

    heads = {"attributes": values.shape[1]}
    first = small_net_init(jax.random.key(asked.seed), 3, side(asked), heads)
    return fit(loss, first, data, _training(asked, 2e-3, "learning a regressor")).params


def hijack(asked: Request) -> list[Walk]:
    """A walk along the slope of a net that tells attributes of codes, the others kept."""
    codes, values = scored(asked)
    learned = regressor_walks.proxy(codes, values, _training(asked, 3e-3, "learning a proxy"))
    options = {"target": 0, "keep": list(range(1, values.shape[1])), "step": STEP}
    found = _walk(asked, "proxy", {"measure": learned.params}, options)
    return [with_effects(asked, replace(found, unit="a length of 1 along the walk"))]


def styleflow(asked: Request) -> list[Walk]:
    """A conditional flow, with the net that tells a code's attributes."""
    codes, values = scored(asked)
    scaled = (values - values.mean(0)) / values.std(0)
    least, most = FLOW_WIDTHS
    hidden = (min(max(least, codes.shape[1]), most),) * 2
    training = _training(asked, 3e-3, "learning a flow")
    flow = flows.train(codes, scaled, training, hidden=hidden, batch=128)
    measure = regressor_walks.proxy(codes, values, _training(asked, 3e-3, "learning a proxy"))
    arrays = {"flow": flow.params, "measure": measure.params}
    return [with_effects(asked, _walk(asked, "flow", arrays, {"target": 0}))]


def rig(asked: Request) -> list[Walk]:
    """A net that changes one parameter of a code's picture and keeps the others."""
    codes, values = scored(asked)
    found = regressor_walks.rig(codes, values, _training(asked, 2e-3, "learning a rig"))
    return [with_effects(asked, _walk(asked, "rig", {"change": found.change}, {"target": 0}))]


def _walk(asked: Request, kind: str, arrays: Any, options: dict[str, Any]) -> Walk:
    return Walk(asked.name, kind, asked.space, arrays, options, unit=SCORE_DEVIATION)
