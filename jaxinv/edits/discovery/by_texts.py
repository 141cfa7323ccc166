"""Methods by name that a text leads: StyleCLIP's global directions and its latent mapper.

Patashnik et al. 2021, StyleCLIP, arXiv:2103.17249. Any joint embedding of pictures and texts
serves.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery import styleclip
from jaxinv.edits.discovery.requests import (
    SCORED_SIDE,
    Request,
    Text,
    direction,
    joint_of,
    learning,
)
from jaxinv.edits.discovery.samples import draw_codes
from jaxinv.edits.discovery.training import Training, fit
from jaxinv.edits.walks import Walk
from jaxinv.io.progress import track
from jaxinv.losses.distances import cosine
from jaxinv.models.joint_embedding import embed_sentences, embed_texts
from jaxinv.models.loading import DERIVED
from jaxinv.models.weights import disk_cached

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.edits.directions import Direction
    from jaxinv.models.generators.base import Generator
    from jaxinv.models.joint_embedding import JointEmbedding
    from jaxinv.types import Array, Key, Params

SPREAD = 5.0  # deviations that a channel is moved either way, to see what it does
TOGETHER = 8  # pictures that are drawn at once, on accelerators
FINEST = 16  # the last layer of a StyleGAN2's S that is measured: the first of 128 px
BATCH = 2
KEEP = 0.8  # weight of what the mapper adds to a code
RATE = 0.5


def global_directions(asked: Request) -> list[Direction]:
    """The channels of S that move pictures as a text differs from a neutral one."""
    text, joint = _text(asked)
    said = [embed_sentences(joint, one, text.templates) for one in (text.words, text.neutral)]
    wanted = styleclip.text_direction(*said)
    styles, codes = asked.gen.spec.styles, draw_codes(*_drawn(asked))[0]
    layers = _measured_layers(asked.gen)
    found = _effects(asked, joint, codes, layers)
    relevance = styleclip.spread_channels(found @ wanted, styles, layers)
    vector = styleclip.global_direction(relevance, codes.std(0), text.threshold)
    unit = "a standard deviation of the most relevant channel"
    source = f"{text.words!r} from {text.neutral!r}, {np.count_nonzero(vector)} channels"
    return [direction(asked, vector, unit, source=source)]


def _text(asked: Request) -> tuple[Text, JointEmbedding]:
    text = asked.text or Text("")  # which says what is missing
    return text, joint_of(text)


def _drawn(asked: Request) -> tuple[Any, ...]:
    return asked.gen, asked.params, "s", asked.samples, asked.seed


def _measured_layers(gen: Generator) -> tuple[int, ...]:
    """Layers of S whose channels are tried: of a StyleGAN2 no image layers, up to 128 px."""
    if gen.spec.architecture != "stylegan2":
        return tuple(range(len(gen.spec.styles)))
    return tuple(i for i in styleclip.without_torgb(gen.spec.styles) if i <= FINEST)


def _effects(
    asked: Request, joint: JointEmbedding, codes: np.ndarray, layers: tuple[int, ...]
) -> np.ndarray:
    """`channel_effects` of the measured layers; kept on disk where the embedding has a name."""
    probes = min(asked.text.probes if asked.text else 1, len(codes))
    made = partial(_measure, asked, joint.picture, (codes, probes), layers)
    if not joint.name:
        return np.asarray(made()["effects"])
    own = {name: one for name, one in asked.params.items() if name not in DERIVED}
    label = f"styleclip-{joint.name}-{probes}-{asked.samples}-{asked.seed}"
    content = own, jax.tree.leaves(joint.picture)
    return np.asarray(disk_cached(label, content, made, names=("effects",))["effects"])


def _measure(
    asked: Request, picture: Any, sampled: tuple[np.ndarray, int], layers: tuple[int, ...]
) -> Params:
    (codes, probes), styles = sampled, asked.gen.spec.styles
    starts = np.cumsum([0, *styles])
    channels = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in layers])
    mean, deviation = codes.mean(0), codes.std(0)
    few = 1 if jax.default_backend() == "cpu" else TOGETHER
    parts = [codes[i : min(i + few, probes)] for i in range(0, probes, few)]
    given = asked.params, picture
    label = f"looking at {len(channels)} channels of {asked.gen.spec.name}"
    found: list[np.ndarray] = []
    for channel in track(list(channels), len(channels), label, asked.report):
        both = mean[channel] + SPREAD * deviation[channel] * np.array([-1.0, 1.0])
        seen = [_seen(asked.gen, given, part, channel, both.astype(np.float32)) for part in parts]
        found.append(np.concatenate(seen))
    return {"effects": styleclip.channel_effects(np.stack(found)).astype(np.float32)}


@partial(jax.jit, static_argnums=0)
def _seen(
    gen: Generator,
    data: tuple[Params, Callable[[Array], Array]],
    codes: Array,
    channel: Array,
    values: Array,
) -> Array:
    """Vectors [n, 2, e] of the pictures of styles [n, C] with one channel at either value."""
    params, picture = data
    ends, size = np.cumsum(gen.spec.styles)[:-1], min(SCORED_SIDE, gen.spec.resolution)

    def look(code: Array, value: Array) -> Array:
        style = tuple(jnp.split(code.at[channel].set(value), ends))
        return picture(gen.synthesize(params, {"s": style}, size))

    return jax.vmap(lambda code: jnp.stack([look(code, value) for value in values]))(codes)


def mapper(asked: Request) -> list[Walk]:
    """Nets that add to every w+ what a text asks for; section 5 of the paper.

    Trained by Adam on random codes; there by Ranger for 50,000 steps, with a term of identity too.
    """
    text, joint = _text(asked)
    (wanted,) = embed_texts(joint, [text.words])
    start = styleclip.mapper_init(jax.random.key(asked.seed), asked.gen.spec)
    data = asked.params, joint.picture, jnp.asarray(wanted)
    label = f"learning a mapper to {text.words!r}"
    training = Training(asked.steps, RATE, "adam", asked.seed, label, asked.report)
    weights = fit(partial(_mapper_loss, asked), start, data, training).params
    return [
        Walk(
            asked.name,
            "mapper",
            "w+",
            {"weights": weights},
            {"axis": 2},
            unit=f"{styleclip.STEP} of what the mapper adds, as it was trained",
            source=f"{text.words!r}, {asked.steps} steps",
        )
    ]


def _mapper_loss(asked: Request, weights: Params, data: tuple[Any, ...], key: Key) -> Array:
    """1 - cosine of picture and text, and the mean square of what is added to random codes."""
    params, picture, wanted = data
    gen, sample = asked.gen, learning(asked)[1]
    w = sample(params, key, BATCH)
    rows = jnp.repeat(w[:, None], gen.spec.rows, 1)
    added = styleclip.STEP * styleclip.mapped(weights, rows, axis=2)
    size = min(SCORED_SIDE, gen.spec.resolution)

    def apart(code: Array) -> Array:
        return cosine(picture(gen.synthesize(params, {"w+": code}, size)), wanted)

    return jnp.mean(jnp.stack([apart(one) for one in rows + added])) + KEEP * jnp.mean(added**2)
