"""YLG (Daras et al. 2020) and the SAGAN of TF-GAN, whose code it builds on.

The trunk is SAGAN's. Variables are brought to its names; the attention may be sparse, in eight
heads.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from weights_convert.networks import sagan
from weights_convert.networks.spectral import from_the_inputs

Arrays = dict[str, np.ndarray]
EPSILON = 1e-3  # of the normalisations
HEADS = 8
VECTOR = "/spectral_normalize/spectral_norm/spectral_norm_u"
LAYERS = (
    # A layer of TensorFlow has a scope of its own within the one that it is called by.
    (r"(?P<of>.*)/dense/kernel", "{of}/Matrix"),
    (r"(?P<of>.*)/dense/bias", "{of}/bias"),
    (r"(?P<of>(.*/)?(?P<layer>\w+))/(?P=layer)/kernel", "{of}/w"),
    (r"(?P<of>(.*/)?(?P<layer>\w+))/(?P=layer)/bias", "{of}/biases"),
    (r"(?P<of>.*)/weights", "{of}/w"),
    (r"(?P<of>.*)/moving_mean", "{of}/mean"),
    (r"(?P<of>.*)/moving_variance", "{of}/var"),
)


def find(tree: Any) -> Any:
    """The tree, if it holds a generator of this kind; None: it does not."""
    return None if sagan.variables(tree, "g_snh0/dense/kernel", "g_") is None else tree


def convert(tree: Any, local: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """(nested parameters, facts of the `GeneratorSpec`) of what `find` found.

    `local`: the attention is sparse; names and sizes are the same without. Raises `UnsafeFileError`
    for arrays that the rules do not cover.
    """
    found = weights(tree, "g_snh0", "g_", sparse=local) or {}
    return sagan.converted(found, EPSILON, **({"local": True} if local else {}))


def weights(tree: Any, first: str, start: str, *, sparse: bool) -> Arrays | None:
    """Variables beginning so under SAGAN's names, spectral norms folded in; None: there are none.

    `first` is called the layer that tells them. `sparse`: channels of queries, keys and values come
    head by head, and are put in the order of ours, number by number.
    """
    found = sagan.variables(tree, f"{first}/dense/kernel", start)
    if found is None:
        return None
    scope, own = found
    named = sagan.looking({_name(name, scope): _flat(array) for name, array in own.items()})
    divided = from_the_inputs(named, exactly=lambda name: name.startswith("look/"))
    for name in ("theta", "phi", "g") if sparse else ():
        key = f"look/sn_conv_{name}/w"
        if key in divided:
            divided[key] = _by_number(divided[key])
    return divided


def _name(name: str, scope: str) -> str:
    """SAGAN's name of a variable; the vector of a weight is called like its other variables."""
    if name.endswith(VECTOR):
        # It stands in the scope of its layer, under the whole name of its weight.
        weight = name.removesuffix(VECTOR).rpartition(scope or "//")[2]
        owner = _name(weight, scope)
        return f"{weight if owner == weight else owner.rpartition('/')[0]}/u"
    for pattern, ours in LAYERS:
        if match := re.fullmatch(pattern, name):
            return ours.format(of=match["of"])
    return name


def _flat(array: np.ndarray) -> np.ndarray:
    """Gains and shifts of classes are stored [classes, 1, 1, channels]."""
    table = array.ndim == 4 and array.shape[1:3] == (1, 1) and array.shape[0] > 1
    return array[:, 0, 0] if table else array


def _by_number(array: np.ndarray) -> np.ndarray:
    """Number d of head h, which is channel h * size + d, as channel 8 d + h."""
    heads = array.reshape(*array.shape[:-1], HEADS, -1)
    return heads.swapaxes(-1, -2).reshape(array.shape)
