"""What a stage is compiled for, and what its lanes are given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from jaxinv.specs import Term
from jaxinv.specs.term_kinds import IMAGE, RENDER
from jaxinv.specs.vocabulary import DISCRIMINATOR

if TYPE_CHECKING:
    from jaxinv.losses.base import Features
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import OperatorSpec, Stage
    from jaxinv.types import Array, Key, Latents, Params


class Problem(NamedTuple):
    """What a compiled program depends on; `size` is the loss resolution, `width` lanes at once.

    `record_terms`: labels of the terms whose value is kept for every evaluation, beside the loss.
    `operator`: what a render of `size` px goes through before it is compared.
    """

    gen: Generator
    stage: Stage
    size: int
    width: int
    record_terms: tuple[str, ...] = ()
    operator: OperatorSpec | None = None

    @property
    def render_size(self) -> int:
        """Size of the render: the loss resolution, or more if a term looks closer."""
        terms, full = self.stage.terms, self.gen.spec.resolution
        closer = [
            full if term.needs_discriminator or term.kind.pivot else term.view.size or 0
            for term in terms
            if term.kind.family == RENDER
        ]
        return min(max(self.size, *closer, 0), full)

    @property
    def program(self) -> Problem:
        """The problem whatever its number of steps: more of them need no other program."""
        return self._replace(stage=replace(self.stage, steps=1))


class NetworkParams(NamedTuple):
    """Arrays that all lanes share, always arguments of the compiled functions."""

    params: Params
    nets: dict[str, Params]

    @property
    def feature_params(self) -> dict[str, Params]:
        """The nets and the discriminator, whose parameters are among the generator's."""
        return {**self.nets, DISCRIMINATOR: self.params}


class Lane(NamedTuple):
    """What one lane is given; masks are [h, w, 1], `previous` the latents of earlier stages.

    `pivot` is the picture with which the stage starts, where a term asks for it.
    """

    target: Features
    mask: Array | None
    key: Key
    restart: Array
    previous: Latents
    named_masks: dict[str, Array] = {}  # noqa: RUF012 - never written to
    pivot: Array | None = None


def image_terms(stage: Stage) -> tuple[Term, ...]:
    """The stage's terms of the image itself that see it at any size: not the discriminator's."""
    seen = (
        term
        for term in stage.terms
        if term.kind.family == IMAGE and not (term.needs_discriminator or term.target)
    )
    return tuple(seen) or (Term("mse"),)
