"""The table of losses: what each compares, which fields of `Term` it takes, and what it needs.

To add a loss, add one entry here and its functions to `TERMS` of `jaxinv.losses.terms`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jaxinv.specs.vocabulary import (
    DISCRIMINATOR,
    EMBEDDERS,
    ENCODER,
    LATENT_SPACES,
    NETS,
    SPACES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE, RENDER, VARIABLE = "image", "render", "variable"  # families of terms


@dataclass(frozen=True)
class TermKind:
    """What one loss is; a new fact about losses is a field of this class.

    family: "image" terms compare the render with the target, "render" terms look at the render
        alone, "variable" terms act on a free variable.
    takes: fields of `Term` that the loss uses, beside those that all have.
    spaces: of a variable term, the spaces that it is for; the first is the usual one.
    nets: feature nets that it can use; an image term must name one of them.
    defaults: fields that are filled in where they are left out.
    elementwise: compares any two arrays number by number, also measurements that are no picture.
    discriminator: needs the generator's discriminator, whatever `Term.net` says.
    attention: needs the attention maps of that discriminator.
    statistics: those of the mapping network that it needs: "w" (mean and axes), "p" (those of P_N).
    initial_codes: needs the codes at which the stage starts.
    pivot: needs the picture with which the stage starts, at full size.
    one_code: compares the rows of one code, and refuses several codes.
    random: draws something at every evaluation.
    training: needs what only the training of an encoder has: known codes, a critic of codes, what
        it was told.
    cloud: sees points in any order, not a picture.
    """

    family: str
    takes: tuple[str, ...]
    spaces: tuple[str, ...] = ()
    nets: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    elementwise: bool = False
    discriminator: bool = False
    attention: bool = False
    statistics: tuple[str, ...] = ()
    initial_codes: bool = False
    pivot: bool = False
    one_code: bool = False
    random: bool = False
    training: bool = False
    cloud: bool = False


_ANY = ("view", "moves", "target", "removed_from")  # fields of losses of any two pictures
_WHOLE = (*_ANY, "floor", "mask")  # of those that compare all positions at once
_MEAN = (*_WHOLE, "reduction")  # of means over positions
_ROWS = ("variable", "rows", "row_range")
_W_SPACES, _BY_W = ("w", "w+"), ("w",)
_LAYERS = ("net", "layers")

TERMS: dict[str, TermKind] = {
    "mse": TermKind(IMAGE, _MEAN, elementwise=True),
    "l1": TermKind(IMAGE, _MEAN, elementwise=True),
    "lpips": TermKind(IMAGE, (*_MEAN, *_LAYERS), nets=NETS),
    "features": TermKind(
        IMAGE,
        (*_MEAN, *_LAYERS, "last_layers", "distance", "target_mask"),
        nets=(*NETS, DISCRIMINATOR),
    ),
    "embedding": TermKind(IMAGE, (*_ANY, *_LAYERS, "distance"), nets=EMBEDDERS),
    "embedding_at_gap": TermKind(
        IMAGE, ("view", *_LAYERS, "distance"), nets=EMBEDDERS, training=True
    ),
    "attribute": TermKind(IMAGE, ("view", *_LAYERS), nets=EMBEDDERS, training=True),
    "identity": TermKind(IMAGE, ("view", *_LAYERS, "distance"), nets=EMBEDDERS, training=True),
    "encoder_cycle": TermKind(
        IMAGE, ("view", "moves", "net"), nets=(ENCODER,), defaults={"net": ENCODER}
    ),
    "logcosh": TermKind(IMAGE, _MEAN, elementwise=True),
    "charbonnier": TermKind(IMAGE, _MEAN, elementwise=True),
    "bce": TermKind(IMAGE, _MEAN),
    "hog": TermKind(IMAGE, _MEAN),
    "ms_ssim": TermKind(IMAGE, (*_WHOLE, "scales")),
    "attention": TermKind(
        IMAGE,
        ("floor", "mask", "moves", *_LAYERS, "heads", "weighted"),
        nets=(DISCRIMINATOR,),
        defaults={"net": DISCRIMINATOR},
        attention=True,
    ),
    "chamfer": TermKind(IMAGE, ("moves", "floor", "mask", "neighbours"), cloud=True),
    "patch_variance": TermKind(RENDER, ("moves",), cloud=True),
    "checkerboard": TermKind(RENDER, ("view", "moves")),
    "high_pass_anchor": TermKind(RENDER, ("cutoff", "moves"), pivot=True),
    "realism": TermKind(RENDER, ("critic", "moves"), discriminator=True),
    "aside": TermKind(RENDER, ("distance",), training=True),
    "redrawn": TermKind(RENDER, ("distance",), training=True),
    "latent": TermKind(
        VARIABLE, ("variable", "distance"), (*LATENT_SPACES, "label"), training=True
    ),
    "code_realism": TermKind(VARIABLE, ("variable",), LATENT_SPACES, training=True),
    "style_alignment": TermKind(VARIABLE, ("variable",), LATENT_SPACES, training=True),
    "noise_autocorrelation": TermKind(VARIABLE, (), ("noise",)),
    "gaussian": TermKind(VARIABLE, (*_ROWS, "margin", "reference_side"), SPACES),
    "row_spread": TermKind(VARIABLE, (*_ROWS, "margin", "reference_side"), ("w+",), one_code=True),
    "sparsity": TermKind(VARIABLE, _ROWS, SPACES),
    "anchor": TermKind(VARIABLE, (*_ROWS, "reduction"), SPACES, initial_codes=True),
    "mahalanobis": TermKind(VARIABLE, ("variable",), _W_SPACES, statistics=("w", "p")),
    "norm_from": TermKind(
        VARIABLE, ("variable", "power"), _W_SPACES, defaults={"power": 1}, statistics=_BY_W
    ),
    "delta_norm": TermKind(
        VARIABLE, ("variable",), ("w+",), defaults={"variable": "w+"}, one_code=True
    ),
    "geocross": TermKind(VARIABLE, _ROWS, ("w+", "z+"), one_code=True),
    "residual_energy": TermKind(
        VARIABLE, ("variable",), ("features",), defaults={"variable": "features"}
    ),
    "drift": TermKind(
        VARIABLE, ("variable", "power"), ("weights",), defaults={"variable": "weights", "power": 2}
    ),
    "locality": TermKind(
        VARIABLE,
        ("variable", "net", "view", "radius"),
        ("weights",),
        nets=NETS,
        defaults={"variable": "weights", "radius": 30.0},
        statistics=_BY_W,
        random=True,
    ),
}
IMAGE_TERMS = tuple(name for name, kind in TERMS.items() if kind.family == IMAGE)
