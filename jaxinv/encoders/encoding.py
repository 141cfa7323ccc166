"""`encode`: pictures -> latents by an encoder, in batches; one compiled program for every look."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders import rollouts
from jaxinv.encoders.base import BEFORE, Encoder
from jaxinv.encoders.inside import COMPARED, DRAWN
from jaxinv.encoders.loading import linked_generator, load_encoder
from jaxinv.encoders.planes import IDENTITY, Sample
from jaxinv.encoders.rollouts import Weights
from jaxinv.io.image_ops import PIXELS, check_pixel_range
from jaxinv.models.arguments import check_generator
from jaxinv.models.loading import generator_hash, load_generator
from jaxinv.specs.checks import check_array, check_kind, check_whole, told
from jaxinv.specs.encoders import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import GeneratorSpec
    from jaxinv.specs.encoders import EncoderSpec
    from jaxinv.types import Latents, Params

    Loaded = tuple[Encoder, Params]
    Drawing = tuple[Generator, Params]

ACCELERATED = 8  # pictures that go together where there is an accelerator


class Given(NamedTuple):
    """What encoders are given beside pictures: masks [B, h, w], attributes [B], passes or None.

    `identities` [B, h, w, 3] are pictures of those whom they are to show.
    """

    masks: np.ndarray | None = None
    attributes: np.ndarray | None = None
    passes: int | None = None
    identities: np.ndarray | None = None


def encode(
    images: np.ndarray,
    encoder: Loaded | str,
    *,
    generator: Drawing | None = None,
    masks: np.ndarray | None = None,
    attribute: float | Sequence[float] | None = None,
    identities: np.ndarray | None = None,
    passes: int | None = None,
    batch: int | None = None,
) -> Latents:
    """Latents [B, ...] of pictures by one look of an encoder, or as many as it takes.

    Args:
        images: [B, h, w, 3] in [-1, 1], of any size; of an encoder that sees labels (a sketch, a
            segmentation) those, [B, h, w, labels] in [0, 1].
        encoder: what `load_encoder` gives, or its name.
        generator: what `load_generator` gives; loaded if the encoder is given by name, and looks at
            what the generator draws.
        masks: [B, h, w], 1 where a picture is known, for encoders that see them.
        attribute: for encoders that are told one: a number in [0, 1], or one per picture. Of SAM
            (Alaluf et al. 2021) the age in years / 100.
        identities: [B, h, w, 3] or [1, h, w, 3] in [-1, 1], pictures of the persons that are to
            be seen, for encoders that ask for one (Nitzan et al. 2020); by default the pictures'
            own.
        passes: how often it looks, instead of the number of its spec.
        batch: pictures that go together; by default 1 on CPUs, 8 elsewhere.

    Raises:
        ValueError: the encoder is another generator's, or pictures, masks or numbers cannot be
            used; before anything is compiled.
    """
    name = os.fspath(encoder) if isinstance(encoder, str | os.PathLike) else None
    loaded = as_loaded(encoder)
    check_whole("batch", ACCELERATED if batch is None else batch, 1)
    pictures = check_pictures(loaded[0].spec, images)
    given = check_given(loaded[0].spec, len(pictures), masks, attribute, passes)
    given = given._replace(identities=check_identities(loaded[0].spec, pictures, identities))
    if generator is None and draws(loaded[0].spec):
        if name is None:
            raise ValueError(
                f"encoder {loaded[0].spec.name!r} looks at what the generator draws: give that "
                f"(generator=load_generator(NAME))"
            )
        generator = load_generator(linked_generator(name))
    if generator is not None:
        check_owner(loaded[0].spec, *generator)
    return encode_batches(loaded, generator, pictures, given, batch=batch)


def as_loaded(encoder: object) -> Loaded:
    """An encoder and its parameters, loaded if they are given by name; `ValueError` if not so."""
    if isinstance(encoder, str | os.PathLike):
        return load_encoder(os.fspath(encoder))
    if not isinstance(encoder, tuple) or len(encoder) != 2:
        raise ValueError(
            f"encoder is {told(encoder)}; allowed: a name, or (encoder, params) of load_encoder"
        )
    check_kind("encoder", encoder[0], Encoder, " (encoder, params = load_encoder(NAME))")
    return encoder


def chain(spec: EncoderSpec) -> Iterator[EncoderSpec]:
    """An encoder's spec and those of the encoders before it."""
    yield spec
    if spec.before is not None:
        yield from chain(spec.before)


def draws(spec: EncoderSpec) -> bool:
    """Whether codes have to be drawn, or brought to another space, on the way."""
    return any(
        "reconstruction" in one.planes
        or one.head in (*COMPARED, *DRAWN)
        or (one.before is not None and one.before.output != one.output)
        for one in chain(spec)
    )


def check_owner(spec: EncoderSpec, gen: Generator, params: Params) -> None:
    """Raise `ValueError` unless an encoder gives codes of this generator."""
    check_generator(gen, params)
    check_fit(spec, gen.spec)
    found = generator_hash(params)
    if spec.generator and spec.generator != found:
        raise ValueError(
            f"encoder {spec.name!r} was made for another generator ({spec.generator:.12}) than "
            f"{gen.spec.name!r} ({found:.12})"
        )


def check_fit(spec: EncoderSpec, own: GeneratorSpec) -> None:
    """Raise `ValueError` unless codes of the encoder have the shape of the generator's."""
    shapes = {
        "z": (own.z_dim,),
        "w": (own.w_dim,) if own.w_dim else None,
        "w+": (own.rows, own.w_dim) if own.rows else None,
    }
    expected = shapes.get(spec.output, spec.shape)
    if expected != spec.shape:
        allowed = "none" if expected is None else list(expected)
        raise ValueError(
            f"encoder {spec.name!r} gives {spec.output!r} of {list(spec.shape)}; generator "
            f"{own.name!r} draws {allowed}"
        )


def check_pictures(spec: EncoderSpec, images: Any) -> np.ndarray:
    """The pictures as float32; `ValueError` unless the encoder can look at them."""
    labels = "labels" in spec.planes
    channels = spec.labels if labels else 3
    meant = ", labels in [0, 1]" if labels else PIXELS
    found = check_array("images", images, meant=meant)
    if found.ndim != 4 or found.shape[3] != channels or not all(found.shape):
        raise ValueError(
            f"images must have shape [B, h, w, {channels}] for encoder {spec.name!r}, got "
            f"{found.shape}"
        )
    if labels and (found.min() < 0 or found.max() > 1):
        raise ValueError(f"labels hold {found.min()} to {found.max()}; allowed: 0 to 1")
    if not labels:
        check_pixel_range("images", found)
    _check_unscaled(spec, found.shape[1:3])
    return found.astype(np.float32)


def _check_unscaled(spec: EncoderSpec, size: tuple[int, ...]) -> None:
    for one in chain(spec):
        if one.resize == "none" and size != one.input_shape[:2]:
            raise ValueError(
                f"images of {size[0]}x{size[1]}; encoder {one.name!r} allows "
                f"{one.input_shape[0]}x{one.input_shape[1]}"
            )


def check_given(
    spec: EncoderSpec, count: int, masks: Any, attribute: Any, passes: int | None
) -> Given:
    """What is given beside `count` pictures, as arrays; `ValueError` for more or less than needed.

    Masks are compared with the pictures when they are put beside them.
    """
    planes = {plane for one in chain(spec) for plane in one.planes}
    for name, value in (("mask", masks), ("attribute", attribute)):
        if (value is not None) != (name in planes):
            wrong = f"needs {name!r}" if name in planes else f"sees no {name!r}"
            raise ValueError(f"encoder {spec.name!r} {wrong}; it sees {', '.join(sorted(planes))}")
    if masks is not None:
        masks = check_array("masks", masks, "biuf", ", 1 where a picture is known").astype("f4")
        if masks.ndim != 3 or len(masks) != count or masks.min() < 0 or masks.max() > 1:
            raise ValueError(f"masks {told(masks)}; allowed: [{count}, h, w] of 0 to 1")
    if attribute is not None:
        attribute = check_array("attribute", attribute, "iuf").astype(np.float32)
        attribute = np.broadcast_to(attribute, count) if attribute.ndim == 0 else attribute
        if attribute.shape != (count,) or attribute.min() < 0 or attribute.max() > 1:
            raise ValueError(f"attribute {told(attribute)}; allowed: 0 to 1, or {count} of these")
    if passes is not None:
        check_passes(spec, passes)
    return Given(masks, attribute, passes)


def check_identities(spec: EncoderSpec, pictures: np.ndarray, identities: Any) -> Any:
    """The pictures of whom [B, h, w, 3], one for each of `pictures`, or None.

    Raises `ValueError` for an encoder that asks for none, and for other arrays.
    """
    if identities is None:
        return None
    if IDENTITY not in spec.planes:
        raise ValueError(f"encoder {spec.name!r} sees no {IDENTITY!r}; it sees {spec.planes}")
    found = check_array("identities", identities, meant=PIXELS)
    if found.ndim != 4 or found.shape[3] != 3 or len(found) not in (1, len(pictures)):
        raise ValueError(
            f"identities {told(found)}; allowed: [{len(pictures)}, h, w, 3] or [1, h, w, 3]"
        )
    check_pixel_range("identities", found)
    return np.broadcast_to(found.astype(np.float32), (len(pictures), *found.shape[1:]))


def check_passes(spec: EncoderSpec, passes: int) -> None:
    """Raise `ValueError` unless an encoder can look so often."""
    least, most = BOUNDS["passes"]
    check_whole("passes", passes, least)
    if passes > most:
        raise ValueError(f"passes must be at most {most}, got {passes}")
    if passes > 1 and ("reconstruction" not in spec.planes or spec.before is not None):
        raise ValueError(f"encoder {spec.name!r} looks once; passes allowed: 1, got {passes}")


def encode_batches(
    loaded: Loaded,
    generator: Drawing | None,
    pictures: np.ndarray,
    given: Given,
    *,
    batch: int | None = None,
) -> Latents:
    """`encode` of what has been checked; the last batch is filled up: one program serves all."""
    together = batch or (1 if jax.default_backend() == "cpu" else ACCELERATED)
    count, parts, spec = len(pictures), list[Any](), loaded[0].spec
    for first in range(0, count, together):
        rows = np.resize(np.arange(first, min(first + together, count)), min(together, count))
        samples = _samples(spec, pictures, given, rows)
        found = roll(loaded, generator, samples, given.passes)
        kept = min(together, count - first)
        parts.append(jax.tree.map(lambda leaf, kept=kept: np.asarray(leaf)[:kept], found))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _samples(spec: EncoderSpec, pictures: np.ndarray, given: Given, rows: np.ndarray) -> Sample:
    shown = jnp.asarray(pictures[rows])
    seen = {"labels": shown} if "labels" in spec.planes else {"image": shown}
    if given.masks is not None:
        seen["mask"] = jnp.asarray(given.masks[rows])
    if given.attributes is not None:
        seen["attribute"] = jnp.asarray(given.attributes[rows])
    if given.identities is not None:
        seen["identity"] = jnp.asarray(given.identities[rows])
    return Sample(**seen)


def roll(
    loaded: Loaded, generator: Drawing | None, samples: Sample, passes: int | None = None
) -> Latents:
    """`rollouts.encode` of a batch, one compiled program for each encoder of the chain.

    It is run once for every pass: a loop inside a program would be slower on CPUs, and unrolled it
    would take as many times longer to compile.
    """
    encoder, params = loaded
    gen, drawn = generator or (None, {})
    weights, spec = Weights(params, drawn), encoder.spec
    if encoder.before is not None and spec.base == "before":
        latents = roll((encoder.before, params[BEFORE]), generator, samples)
    else:
        base = rollouts.base(spec, params)
        count = len(jax.tree.leaves(samples)[0])
        latents = jax.tree.map(lambda leaf: jnp.tile(leaf, (count, *[1] * leaf.ndim)), base)
    own = weights._replace(encoder={k: v for k, v in params.items() if k != BEFORE})
    for _ in range(passes or spec.passes):
        latents = _look(encoder, gen, own, samples, latents)
    return latents


@partial(jax.jit, static_argnums=(0, 1))
def _look(
    encoder: Encoder, gen: Any, weights: Weights, samples: Sample, latents: Latents
) -> Latents:
    return jax.vmap(partial(rollouts.look, encoder, gen, weights))(samples, latents)
