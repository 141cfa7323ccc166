"""The table of all terms of the objective, and what is done with it.

`extract_features` runs every view and every feature net once, whatever the number of terms: on the
target once per image, on the render once per evaluation. `evaluate` sums the weighted terms;
`residuals` gives the same sum as a vector, for solvers that lower sums of squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxinv.losses import clouds, distances, embeddings, priors, regularizers, training_terms
from jaxinv.losses import image_terms as images
from jaxinv.losses.base import Features, TermFunctions, TermInputs, mean_square, sum_of_squares
from jaxinv.losses.image_terms import (
    ATTENTION_SUFFIX,
    PIXELS,
    feature_key,
    layer_names,
    named_key,
    target_key,
)
from jaxinv.losses.views import apply_view, named_mask
from jaxinv.models.features.backbones import NETS
from jaxinv.solvers.schedules import schedule_value
from jaxinv.specs import Term, labels
from jaxinv.specs.term_kinds import IMAGE
from jaxinv.specs.vocabulary import EMBEDDERS

if TYPE_CHECKING:
    from jaxinv.models.discriminators.base import Discriminator
    from jaxinv.types import Array, Params


def locality_terms(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The image terms by which terms of "locality" compare images at another code."""
    return tuple(
        Term("lpips" if term.net else "mse", net=term.net, view=term.view)
        for term in terms
        if term.radius
    )


def locality(term: Term, inputs: TermInputs) -> Array:
    """How far images at another code are from what unchanged weights draw there."""
    changed, unchanged = inputs.elsewhere_features
    (image_term,) = locality_terms((term,))
    return term_value(image_term, inputs._replace(features=changed, target=unchanged, mask=None))


_layers, _by = images.over_layers, images.by
TERMS: dict[str, TermFunctions] = {
    "mse": _layers(_by(distances.l2), images.mean_difference),
    "l1": _layers(_by(distances.l1)),
    "lpips": _layers(images.averaged(images.lpips), images.lpips_difference),
    "features": _layers(images.features, images.mean_difference),
    "embedding": _layers(embeddings.embedding),
    "embedding_at_gap": TermFunctions(training_terms.embedding_at_gap),
    "attribute": TermFunctions(training_terms.attribute),
    "identity": TermFunctions(training_terms.identity),
    "aside": TermFunctions(training_terms.aside),
    "redrawn": TermFunctions(training_terms.redrawn),
    "encoder_cycle": mean_square(embeddings.cycle_difference),
    "latent": TermFunctions(training_terms.from_known_code),
    "code_realism": TermFunctions(training_terms.code_realism),
    "style_alignment": TermFunctions(training_terms.style_alignment),
    "logcosh": _layers(_by(distances.logcosh)),
    "charbonnier": _layers(_by(distances.charbonnier)),
    "bce": _layers(_by(lambda a, b: distances.bce((a + 1) / 2, (b + 1) / 2))),
    "hog": _layers(_by(distances.hog))._replace(multiple=distances.CELL),
    "ms_ssim": _layers(
        images.faded(lambda t, layer: distances.ms_ssim(layer.ours, layer.theirs, t.scales))
    )._replace(smallest=lambda t: distances.smallest(t.scales)),
    "attention": _layers(images.faded(images.attention)),
    "chamfer": clouds.CHAMFER,
    "patch_variance": clouds.PATCH_VARIANCE,
    "checkerboard": mean_square(lambda t, i: priors.weak_haar_details(apply_view(i.image, t.view))),
    "high_pass_anchor": mean_square(priors.moved_detail),
    "realism": TermFunctions(priors.realism),
    "noise_autocorrelation": sum_of_squares(
        lambda t, i: priors.autocorrelations(i.latents["noise"])
    ),
    "gaussian": mean_square(lambda t, i: priors.beyond_margin(t, priors.code_of(t, i.codes))),
    "row_spread": mean_square(priors.row_deviations),
    "sparsity": TermFunctions(lambda t, i: regularizers.l1(priors.flat_code(t, i))),
    "anchor": sum_of_squares(priors.displacement_from_init),
    "mahalanobis": mean_square(priors.p_coordinates),
    "norm_from": TermFunctions(
        lambda t, i: regularizers.norm(priors.from_mean_of_w(t, i), t.power),
        lambda t, i: priors.from_mean_of_w(t, i).ravel(),
    ),
    "delta_norm": TermFunctions(lambda t, i: regularizers.delta_norm(i.latents["w+"])),
    "geocross": TermFunctions(lambda t, i: regularizers.geocross(priors.code_of(t, i.codes))),
    "residual_energy": mean_square(lambda t, i: i.latents["features"]),
    "drift": TermFunctions(
        lambda t, i: regularizers.drift(priors.weight_changes(i), t.power),
        mean_square(lambda t, i: ravel_pytree(priors.weight_changes(i))[0]).residuals,
    ),
    "locality": TermFunctions(locality),
}


def term_value(term: Term, inputs: TermInputs) -> Array:
    """The value of one term, a scalar, before its floor and its weight."""
    return TERMS[term.name].value(term, masked(term, inputs))


def masked(term: Term, inputs: TermInputs) -> TermInputs:
    """The inputs with the mask of the image times the mask that the term names."""
    if not term.mask:
        return inputs
    named = named_mask(inputs.named_masks, term.mask)
    return inputs._replace(mask=named if inputs.mask is None else inputs.mask * named)


def extract_features(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    image: Array,
    discriminator: Discriminator | None = None,
) -> Features:
    """All features of image [h, w, 3] that the image terms compare; each net runs once per view.

    The net "discriminator" is `discriminator`, its parameters those of the generator. Raises
    `ValueError` for terms of a discriminator without one.
    """
    wanted: dict[str, list[Term]] = {}
    for term in terms:
        if term.kind.family == IMAGE:
            wanted.setdefault(feature_key(term), []).append(term)
    return {name: _run_net(few, nets, image, discriminator) for name, few in wanted.items()}


def target_features(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    pictures: dict[str, Array],
    discriminator: Discriminator | None = None,
) -> Features:
    """What terms see of the pictures [h, w, 3] that they name: "" is the image, by `target_key`.

    Pictures that are not there are left out.
    """
    found: Features = {}
    for name, picture in sorted(pictures.items()):
        few = tuple(term for term in terms if term.target == name)
        for key, seen in extract_features(few, nets, picture, discriminator).items():
            found[named_key(key, name)] = seen
    return found


def vector_features(terms: tuple[Term, ...], vectors: dict[str, Array]) -> Features:
    """The vectors that terms name, each in the place of what a net would see of a picture."""
    return {
        target_key(term): {layer_names(term)[0]: vectors[term.target]}
        for term in terms
        if term.target in vectors
    }


def _run_net(
    terms: list[Term], nets: dict[str, Params], image: Array, discriminator: Discriminator | None
) -> dict[str, Array]:
    net, seen = terms[0].net, apply_view(image, terms[0].view)
    if net is None:
        return {PIXELS: seen}
    if net in NETS:  # to it, grey is three equal channels
        found = NETS[net].taps(nets[net], jnp.broadcast_to(seen, (*seen.shape[:2], 3)))
    elif net in EMBEDDERS:
        found = embeddings.embed(net, nets[net], seen)
    else:
        found = _discriminator_features(discriminator, nets[net], seen)
    kept = {layer for term in terms for layer in layer_names(term, discriminator, found)}
    kept |= {layer + ATTENTION_SUFFIX for term in terms if term.kind.attention for layer in kept}
    return {layer: found[layer] for layer in sorted(kept.intersection(found))}


def _discriminator_features(
    discriminator: Discriminator | None, params: Params, image: Array
) -> dict[str, Array]:
    if discriminator is None:
        raise ValueError("terms of the discriminator need one")
    states = discriminator.features(params, image)
    maps = {
        name + ATTENTION_SUFFIX: x["attention"] for name, x in states.items() if "attention" in x
    }
    return {name: x["x"] for name, x in states.items()} | maps


def weight_of(term: Term, progress: Array) -> Any:
    """The term's weight by its schedule at `progress` in [0, 1)."""
    if term.schedule.kind == "constant":
        return term.weight
    return term.weight * schedule_value(term.schedule, progress)


def evaluate(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    inputs: TermInputs,
    target: tuple[Features, Array | None],
    progress: Array,
) -> tuple[Array, dict[str, Array]]:
    """(weighted sum, value of each term before its floor and its weight, by label).

    `target` are the features of the target, and the mask [h, w, 1]; `progress` in [0, 1) drives the
    schedules of the weights. A term with a floor counts at least that (Menon et al. 2020, PULSE).
    """
    given = inputs._replace(nets=nets, target=target[0], mask=target[1])
    values = [training_terms.counted(term, given, term_value(term, given)) for term in terms]
    total = jnp.zeros(())
    for term, value in zip(terms, values, strict=True):
        floored = distances.floor(value, term.floor) if term.floor else value
        total = total + weight_of(term, progress) * floored
    return total, dict(zip(labels(terms), values, strict=True))


def are_squares(terms: tuple[Term, ...]) -> bool:
    """Whether the weighted sum of `terms` is a sum of squares that `residuals` can give."""
    return all(
        TERMS[term.name].residuals is not None
        and term.distance == "l2"
        and not term.floor
        and not term.moves
        and not term.removed_from
        and term.power != 1
        for term in terms
    )


def residuals(
    terms: tuple[Term, ...],
    nets: dict[str, Params],
    inputs: TermInputs,
    target: tuple[Features, Array | None],
    progress: Array,
) -> Array:
    """The vector [m] whose squared norm is the loss of `evaluate`, of the same arguments.

    Only for terms that `are_squares`, and masks that are nowhere negative; `ValueError` for a term
    that is no square.
    """
    given = inputs._replace(nets=nets, target=target[0], mask=target[1])
    parts: list[Array] = []
    for term in terms:
        vector = TERMS[term.name].residuals
        if vector is None:
            raise ValueError(f"term {term.label!r} is no sum of squares")
        parts.append(jnp.sqrt(weight_of(term, progress)) * vector(term, masked(term, given)))
    return jnp.concatenate(parts)
