"""How good an encoder is on pictures that it was not trained on: numbers, and a grid to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.encoders.objective import compare, looked_at, show
from jaxinv.encoders.rollouts import Weights, begin, look
from jaxinv.io.image_ops import grid, to_uint8
from jaxinv.nn.resample import area_reduce

if TYPE_CHECKING:
    from jaxinv.encoders.objective import Given, Lesson
    from jaxinv.types import Array, Params, Tree

SHOWN = 8  # pictures in the grid
# Terms of critics, which change while they are trained, and of what only training looks at.
TRAINED = ("code_realism", "realism", "aside", "redrawn")
PEAK = 4.0  # squared range of pictures in [-1, 1]


class Validation:
    """Measures parameters of an encoder on batches that are held back."""

    def __init__(self, lesson: Lesson, given: Given, held: list[Tree]) -> None:
        left = TRAINED if lesson.preset.search is None else (*TRAINED, "latent")
        kept = tuple(term for term in lesson.preset.terms if term.name not in left)
        source = replace(lesson.preset.source, fresh_noise=False, warp=0.0)
        if source.moved and not source.pairs:  # what an edit should give is not known
            source = replace(source, moved=0.0)
        preset = replace(
            lesson.preset, terms=kept, critics=(), search=None, back=0.0, alone=0.0, source=source
        )
        self.lesson, self.given, self.held = lesson._replace(preset=preset), given, held
        self.measure = jax.jit(self._measure)

    def __call__(self, params: Params) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """({number: mean over the held pictures}, {"pictures": uint8 grid}).

        "validation" is the weighted sum of the terms, but for critics; "psnr_K" that after pass K,
        in dB; "from_w" how far the rows of a code lie from their mean (root mean square): 0 in W.
        """
        found: list[dict[str, Any]] = []
        shown: list[np.ndarray] = []
        for number, batch in enumerate(self.held):
            key = jax.random.fold_in(jax.random.key(0), number)
            numbers, pictures = self.measure(params, self.given, batch, key)
            found.append(jax.device_get(numbers))
            if sum(map(len, shown)) < SHOWN:
                shown.append(to_uint8(np.asarray(pictures)))
        if not found:
            return {}, {}
        means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        rows = np.concatenate(shown)[:SHOWN]
        flat = rows.reshape(-1, *rows.shape[2:])
        return means, {"pictures": grid(flat, rows.shape[1])} if self.lesson.draws else {}

    def _measure(
        self, params: Params, given: Given, batch: Tree, key: Any
    ) -> tuple[dict[str, Array], Array]:
        lesson, gen = self.lesson, self.lesson.gen
        encoder = lesson.encoder
        space, size = encoder.spec.output, lesson.size
        weights = Weights(params, given.generator)
        shown = show(lesson, given, batch, key)
        target = jax.vmap(lambda image: looked_at(lesson, given, image))(shown.target)
        latents = jax.vmap(lambda s: begin(encoder, gen, weights, s), axis_size=len(shown.target))(
            shown.samples
        )
        numbers: dict[str, Array] = {}
        pictures = [jax.vmap(lambda image: area_reduce(image, size))(shown.target)]
        for index in range(1, encoder.spec.passes + 1):
            latents = jax.vmap(lambda s, one: look(encoder, gen, weights, s, one))(
                shown.samples, latents
            )
            total, terms, images = compare(
                lesson, given, latents, shown, target, progress=jnp.ones(())
            )
            pictures.append(images)
            error = jnp.mean(jnp.square(images - pictures[0]), axis=(1, 2, 3))
            decibel = jnp.mean(10 * jnp.log10(PEAK / jnp.maximum(error, 1e-10)))
            if lesson.draws:
                numbers["psnr" if encoder.spec.passes == 1 else f"psnr_{index}"] = decibel
            numbers |= {"validation": total, **{f"held_{k}": v for k, v in terms.items()}}
        code = latents[space]
        if space.endswith("+"):
            apart = code - jnp.mean(code, axis=1, keepdims=True)
            numbers["from_w"] = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(apart), axis=-1)))
        return numbers, jnp.stack(pictures, axis=1)
