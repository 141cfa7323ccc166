"""Attributes of the pictures of one generator, by a net of labels that is stored beside it.

The net of GENERATOR is the file `GENERATOR-labels`: it gives for every group of labels what share
each of them has. An attribute is the mean of a number that each label of a group stands for: 0 or 1
("glasses"), degrees, levels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.io.checkpoints import cache_dir, packaged_names, read_metadata, weights_file
from jaxinv.metrics.reconstruction import check_stack
from jaxinv.models.features.nets import load_net
from jaxinv.specs.checks import check_choice

if TYPE_CHECKING:
    from jaxinv.metrics.reconstruction import Scores, Stack
    from jaxinv.models.features.named_layers import Net
    from jaxinv.types import Array, Params

END = "-labels"
FACTS = "labels"  # the metadata that say what the outputs are


@dataclass(frozen=True)
class LabelAttribute:
    """An attribute that is the mean of `values`, a number for each label of `group`.

    `accuracy` is the share of held-out pictures on which the net is right: of a share, whether it
    lies on the right side of one half; of a number, whether the label that is most likely is the
    right one.
    """

    title: str
    unit: str
    group: str
    values: tuple[float, ...]
    accuracy: float


@dataclass(frozen=True)
class Labels:
    """What the outputs of a net of labels are: the labels of each group, and named attributes."""

    groups: dict[str, tuple[str, ...]]
    attributes: dict[str, LabelAttribute]


def label_net(generator_name: str) -> str | None:
    """The name of the net of labels of the generator called so, or of its file; None if none is."""
    name = Path(generator_name).stem + END
    here = name in packaged_names() or (cache_dir() / f"{name}.safetensors").is_file()
    return name if here else None


def labels_of(generator_name: str) -> Labels | None:
    """What is known of the pictures of a generator; None where it has no net of labels.

    Raises `ValueError` for a damaged file.
    """
    name = label_net(generator_name)
    return None if name is None else _facts(str(weights_file(name)))


def label_attributes(generator_name: str) -> dict[str, LabelAttribute]:
    """The attributes of a generator's pictures by name; none where it has no net of labels."""
    found = labels_of(generator_name)
    return {} if found is None else found.attributes


def label_scores(generator_name: str, name: str, images: Stack) -> Scores:
    """One attribute of each picture uint8 [B, h, w, 3] of that generator, float64 [B].

    Raises `ValueError` for an attribute that its pictures have not, and for other arrays.
    """
    check_choice("attribute", name, tuple(label_attributes(generator_name)))
    return all_label_scores(generator_name, images)[name]


def all_label_scores(generator_name: str, images: Stack) -> dict[str, Scores]:
    """All attributes of each picture uint8 [B, h, w, 3] of that generator, each float64 [B].

    Raises `ValueError` where it has no net of labels, and for other arrays.
    """
    shares = label_shares(generator_name, images)
    known = label_attributes(generator_name)
    return {name: shares[one.group] @ np.asarray(one.values) for name, one in known.items()}


def label_shares(generator_name: str, images: Stack) -> dict[str, np.ndarray]:
    """What share each label of a group has in pictures uint8 [B, h, w, 3]: float64 [B, labels].

    Raises `ValueError` where the generator has no net of labels, and for other arrays.
    """
    stack, facts = check_stack("images", images), labels_of(generator_name)
    if facts is None:
        raise ValueError(f"generator {generator_name!r} has no net of labels")
    file = str(weights_file(str(label_net(generator_name))))
    net, params = _loaded(file)
    scores = np.stack([np.asarray(_scores(net, params, jnp.asarray(one))) for one in stack])
    ends = np.cumsum([len(one) for one in facts.groups.values()])
    parts = np.split(scores.astype(np.float64), ends[:-1], axis=1)
    return {name: _softmax(part) for name, part in zip(facts.groups, parts, strict=True)}


@partial(jax.jit, static_argnums=0)
def _scores(net: Net, params: Params, image: Array) -> Array:
    return net.taps(params, image.astype(jnp.float32) / 127.5 - 1.0)["labels"]


def _softmax(scores: np.ndarray) -> np.ndarray:
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


@lru_cache(4)
def _loaded(file: str) -> tuple[Net, Params]:
    return load_net(file)


@lru_cache(4)
def _facts(file: str) -> Labels:
    """What the metadata of a file say; `ValueError` if that is no description of labels."""
    try:
        held: Any = json.loads(read_metadata(Path(file))[FACTS])
        groups = {str(name): tuple(map(str, one)) for name, one in held["groups"].items()}
        attributes = {
            str(name): LabelAttribute(
                str(one["title"]),
                str(one["unit"]),
                str(one["group"]),
                tuple(map(float, one["values"])),
                float(one["accuracy"]),
            )
            for name, one in held["attributes"].items()
        }
        fits = all(len(one.values) == len(groups[one.group]) for one in attributes.values())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} does not say what its labels are ({error!r:.120})") from error
    if not fits or not groups:
        raise ValueError(f"{file}: numbers of labels and of values differ")
    return Labels(groups, attributes)
