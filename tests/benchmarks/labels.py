"""Trains the net of labels of the packaged generator: `... labels DATA -o FILE`.

DATA are the pictures that the generator was trained on, with their exact labels
(`attributes.jsonl`). Printed, and stated in the file, is how often the net is right on pictures
that it has not seen.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxinv.io import checkpoints
from jaxinv.io.picture_sets import PictureSet, open_set, read_labels
from jaxinv.metrics.naturalness import LUMA
from jaxinv.models.features.nets import build_net
from jaxinv.models.features.picture_labels import ARCHITECTURE, layer_shapes
from jaxinv.training.data import Pictures, split

SIDE, WIDTHS, MIXED = 32, (20, 40, 56, 80), 24
BATCH, RATE, NOISE = 64, 2e-3, 0.05
PLAIN = (
    "head", "face", "facialHair", "accessories", "skinColor", "clothingColor", "backgroundColor",
    "rotate", "translateX", "translateY",
)  # fmt: skip
HAIR, HIDDEN, BLACK = "hairColor", "hidden", "000000"
COLOURED = ("bangs", "grayBun", "grayMedium", "grayShort", "mohawk", "short4")
COVERED = ("hijab", "noHair1", "turban")  # of which no hair is seen
GLASSES = ("glasses", "glasses2", "glasses5", "sunglasses")
# Attributes that are shares: of which group, and which of its labels count.
SHARES = {
    "beard": ("a beard", "facialHair", ("chin", "full", "full2", "goatee1")),
    "moustache": ("a moustache alone", "facialHair", ("moustache1", "moustache4")),
    "glasses": ("glasses of any kind", "accessories", GLASSES),
    "sunglasses": ("sunglasses", "accessories", ("sunglasses",)),
    "headwear": ("hat or scarf", "head", ("hatBeanie", "hatHip", "hijab", "turban")),
    "long-hair": (
        "hair to the shoulders", "head",
        ("long", "longAfro", "longBangs", "longCurly", "medium2", "medium3", "mediumBangs",
         "mediumStraight"),
    ),
    "curly-hair": ("curly hair", "head", ("afro", "dreads1", "longAfro", "longCurly")),
    "smile": ("corners of the mouth up", "face",
              ("calm", "cute", "lovingGrin1", "smile", "smileBig")),
    "wide-eyes": ("eyes wide open", "face", ("awe",)),
}  # fmt: skip
# Attributes that are numbers: of which group, the unit, and what a label stands for.
NUMBERS = {
    "skin-lightness": ("luma of the skin", "skinColor", "levels", "luma"),
    "hair-lightness": ("luma of the hair", HAIR, "levels", "luma"),
    "clothing-warmth": ("red less blue of the clothes", "clothingColor", "levels", "warmth"),
    "background-warmth": ("red less blue behind", "backgroundColor", "levels", "warmth"),
    "tilt": ("turned clockwise", "rotate", "degrees", "angle"),
    "shift-right": ("moved to the right", "translateX", "% of the side", "number"),
    "shift-down": ("moved down", "translateY", "% of the side", "number"),
}


def levels(colour: str) -> np.ndarray:
    """Red, green and blue of a colour of six hex digits."""
    return np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)], np.float64)


READ = {
    "luma": lambda label: float(levels(label) @ np.asarray(LUMA)),
    "warmth": lambda label: float(levels(label)[0] - levels(label)[2]),
    "angle": lambda label: float((int(label) + 180) % 360 - 180),
    "number": float,
}


def read_groups(pictures: PictureSet) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """(the labels, the number of each picture's own) of every group."""
    rows = [json.loads(line) for line in pictures.beside("attributes.jsonl").splitlines()]
    found = {}
    for group in PLAIN:
        kinds = tuple(sorted({str(row[group]) for row in rows}))
        found[group] = kinds, read_labels(pictures, group).argmax(1)
    heads, colours = (
        [sorted({str(row[name]) for row in rows})[i] for i in read_labels(pictures, name).argmax(1)]
        for name in ("head", "headContrastColor")
    )
    hair = [
        HIDDEN if head in COVERED else colour if head in COLOURED else BLACK
        for head, colour in zip(heads, colours, strict=True)
    ]
    kinds = tuple(sorted(set(hair)))
    found[HAIR] = kinds, np.array([kinds.index(one) for one in hair])
    return found


def attributes_of(groups: dict[str, tuple[tuple[str, ...], np.ndarray]]) -> dict[str, Any]:
    """Named attributes: title, unit, group, and the number that each label stands for."""
    found: dict[str, Any] = {}
    for name, (title, group, chosen) in SHARES.items():
        kinds = groups[group][0]
        if unknown := set(chosen) - set(kinds):
            raise ValueError(f"{name}: no labels {sorted(unknown)} in {group}")
        values = [float(kind in chosen) for kind in kinds]
        found[name] = {"title": title, "unit": "share", "group": group, "values": values}
    for name, (title, group, unit, kind) in NUMBERS.items():
        kinds, own = groups[group]
        values = [np.nan if label == HIDDEN else READ[kind](label) for label in kinds]
        usual = float(np.nanmean(np.asarray(values)[own]))  # what is hidden says nothing
        values = [usual if np.isnan(value) else value for value in values]
        found[name] = {"title": title, "unit": unit, "group": group, "values": values}
    return found


def fit(net: Any, images: np.ndarray, own: np.ndarray, sizes: list[int], steps: int) -> Any:
    """Parameters after `steps`; own [n, groups] are the numbers of the labels."""
    params = net.init(jax.random.key(0))
    solver = optax.adamw(
        optax.warmup_cosine_decay_schedule(0.0, RATE, 200, steps), weight_decay=0.01
    )
    ends = np.cumsum(sizes)[:-1]

    def loss(params: Any, batch: Any, key: Any) -> Any:
        seen = batch[0].astype(jnp.float32) / 127.5 - 1.0
        seen = seen + NOISE * jax.random.normal(key, seen.shape)
        scores = jax.vmap(lambda one: net.run(params, one)["labels"])(seen)
        parts = jnp.split(scores, ends, axis=1)
        wrong = [
            optax.softmax_cross_entropy_with_integer_labels(part, batch[1][:, i]).mean()
            for i, part in enumerate(parts)
        ]
        return sum(wrong[1:], wrong[0])

    @jax.jit
    def step(params: Any, state: Any, batch: Any, key: Any) -> Any:
        value, slope = jax.value_and_grad(loss)(params, batch, key)
        moves, state = solver.update(slope, state, params)
        return optax.apply_updates(params, moves), state, value

    state, draws, told = solver.init(params), np.random.default_rng(0), []
    for number in range(steps):
        chosen = draws.integers(0, len(images), BATCH)
        batch = images[chosen], own[chosen]
        params, state, value = step(params, state, batch, jax.random.key(number))
        told.append(value)
        if number % 250 == 249:
            print(f"step {number + 1} of {steps}: {np.mean(told[-250:]):.3f}", flush=True)
    return params


def train(data: Path, out: Path, steps: int) -> None:
    """Train, print the accuracies, and write the file."""
    pictures = open_set(str(data))
    groups = read_groups(pictures)
    source = Pictures(pictures, SIDE)
    images = np.stack([source[i]["image"] for i in range(len(source))])
    own = np.stack([one for _, one in groups.values()], axis=1)
    sizes = [len(kinds) for kinds, _ in groups.values()]
    net = build_net(ARCHITECTURE, layer_shapes(SIDE, WIDTHS, MIXED, sum(sizes)))
    seen, held = split(len(images))
    params = fit(net, images[seen], own[seen], sizes, steps)
    params = jax.tree.map(lambda a: np.asarray(a, np.float16), jax.device_get(params))

    single = jax.tree.map(lambda a: np.asarray(a, np.float32), params)
    look = jax.jit(jax.vmap(partial(net.taps, single)))
    scores = np.asarray(look(images[held].astype(np.float32) / 127.5 - 1.0)["labels"])
    parts = dict(zip(groups, np.split(scores, np.cumsum(sizes)[:-1], axis=1), strict=True))
    attributes = attributes_of(groups)
    accuracies = {}
    for name, (kinds, of) in groups.items():
        accuracies[name] = float(np.mean(parts[name].argmax(1) == of[held]))
        often = np.bincount(of[held], minlength=len(kinds)).max() / len(held)
        print(f"{name:18} {accuracies[name]:.3f}  (always the commonest: {often:.3f})")
    for name, one in attributes.items():
        shares = np.asarray(jax.nn.softmax(parts[one["group"]], axis=1))
        values = np.asarray(one["values"])
        due, said = values[groups[one["group"]][1][held]], shares @ values
        if one["unit"] == "share":
            one["accuracy"] = float(np.mean((said > 0.5) == (due > 0.5)))
            print(f"{name:18} {one['accuracy']:.3f}  (never: {1 - due.mean():.3f})")
        else:
            one["accuracy"] = accuracies[one["group"]]
            error = float(np.sqrt(np.mean((said - due) ** 2)))
            print(f"{name:18} off by {error:.2f} {one['unit']}  (spread: {due.std():.2f})")
    labels = {
        "groups": {name: list(kinds) for name, (kinds, _) in groups.items()},
        "attributes": attributes,
        "accuracy": accuracies,
        "held_out": len(held),
    }
    facts = {
        "format": "jaxinv",
        "schema": "1",
        "kind": "features",
        "architecture": ARCHITECTURE,
        "labels": json.dumps(labels),
        "licence": "CC0-1.0: trained on pictures of Open Peeps (Pablo Stanley, CC0)",
        "source": f"python -m tests.benchmarks labels {data.name} --steps {steps}",
        "content_sha256": checkpoints.content_sha256(single),
    }
    print(checkpoints.save(out, params, facts), f"{out.stat().st_size} bytes")
