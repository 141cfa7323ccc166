"""What the terms of the objective are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jaxinv.models.discriminators.base import Discriminator
    from jaxinv.types import Array, Latents, Params, Tree


Features = dict[str, dict[str, "Array"]]


class TermInputs(NamedTuple):
    """What the terms are told of one lane: codes, latents, what is compared, and what was seen.

    Some also need the parameters, the codes at the start, the render before any degradation (where
    it is another than `image`), the discriminator, or what was seen at another code, with changed
    and with unchanged weights.
    """

    codes: dict[str, Tree]
    latents: Latents
    image: Array
    features: Features
    params: Params = {}  # noqa: RUF012 - never written to
    start: dict[str, Tree] = {}  # noqa: RUF012
    render: Array | None = None
    discriminator: Discriminator | None = None
    elsewhere_features: tuple[Features, Features] = ({}, {})
