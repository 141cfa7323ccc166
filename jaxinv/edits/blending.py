"""Between latents: interpolation, mixing of rows, and walks through random codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.directions import row_numbers
from jaxinv.edits.paths import code_at, with_code
from jaxinv.io.latent_files import fit_latents
from jaxinv.latents.sampling import sample_latents
from jaxinv.latents.spaces import SPACES
from jaxinv.models.arguments import check_generator, samples_of
from jaxinv.models.generators.weight_deltas import leaves, nested
from jaxinv.specs.checks import check_array, check_choice, check_kind, check_list, check_whole
from jaxinv.specs.vocabulary import LATENT_SPACES

if TYPE_CHECKING:
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Latents, Params, Tree

WAYS = ("lerp", "slerp")
# Rows of StyleGAN2's 18-row layout that go by a name (Karras et al. 2019, section 3.1).
ROW_NAMES = {
    "coarse": (0, 4),
    "middle": (4, 8),
    "fine": (8, 18),
    "content": (0, 9),
    "style": (9, 18),
}


def interpolate(
    gen: Generator,
    params: Params,
    ends: tuple[Latents, Latents],
    shares: Sequence[float],
    *,
    space: str | None = None,
    way: str | None = None,
) -> Latents:
    """Latents between those of two samples, with a leading axis: one for each share.

    Everything that draws is interpolated with the same share: the code, noise maps, class vectors
    and changes of weights (Pan et al. 2020, DGP, section 4.4; equation 31 of Xia et al. 2022).

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        ends: two latents of ONE sample each, without a leading axis, as `load_latents` gives them.
        shares: 0 is the first, 1 the second; beyond them the line goes on.
        space: in which codes are interpolated, one of `LATENT_SPACES`; by default the first one
            that both reach.
        way: "lerp", a line, or "slerp", an arc with lengths in between; by default the arc in Z,
            the line elsewhere.

    Raises:
        ValueError: an unknown space or way, or one that the latents cannot be carried to.
    """
    check_generator(gen, params)
    check_list("ends", ends, "two latents")
    if len(ends) != 2:
        raise ValueError(f"ends are {len(ends)} latents; allowed: 2")
    numbers = check_array("shares", shares, "iuf")
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(f"shares have shape {list(numbers.shape)}; allowed: [n], one or more")
    for one in ends:
        check_kind("latents", one, dict, " of arrays by space")
    ends = (fit_latents(gen.spec, ends[0]), fit_latents(gen.spec, ends[1]))
    if space is None:
        space = common_space(*ends)
    check_choice("space", space, LATENT_SPACES)
    way = way or ("slerp" if space in ("z", "z+") else "lerp")
    check_choice("way", way, WAYS)
    codes = [code_at(gen, params, one, space) for one in ends]
    between = slerp if way == "slerp" else lerp
    rest = [_rest(gen, params, one, ends, space) for one in ends]

    def at(share: float) -> Latents:
        code = jax.tree.map(lambda a, b: between(a, b, share), *codes)
        other = jax.tree.map(lambda a, b: lerp(a, b, share), *rest)
        if "weights" in other:
            other = with_code(other, "weights", other["weights"])
        return with_code(other, space, code)

    found = [at(float(share)) for share in numbers]
    return jax.tree.map(lambda *arrays: np.stack(arrays), *found)


def _rest(
    gen: Generator, params: Params, one: Latents, ends: tuple[Latents, Latents], space: str
) -> Latents:
    """What one end holds beside its code; what only the other holds has its usual value here."""
    found: Latents = {}
    if any("noise" in end for end in ends):
        found["noise"] = one["noise"] if "noise" in one else gen.stored_noise(params)
    if any("weights" in end for end in ends):
        totals = [dict(leaves(code_at(gen, params, end, "weights"))) for end in ends]
        mine = dict(leaves(code_at(gen, params, one, "weights")))
        blank = {path: jnp.zeros_like(leaf) for held in totals for path, leaf in held.items()}
        found["weights"] = nested(sorted((blank | mine).items()))
    if gen.spec.embedding:
        found["embedding"] = SPACES["embedding"].encode(gen, params, one)
    elif gen.spec.labels and space in ("z", "z+"):
        found["label"] = SPACES["label"].encode(gen, params, one)
    return found


def common_space(*ends: Latents) -> str:
    """The first space that all latents reach: the latest of those that they hold.

    Raises `ValueError` for latents without a code.
    """
    found = []
    for latents in ends:
        check_kind("latents", latents, dict, " of arrays by space")
        if "mix" in latents or not set(LATENT_SPACES) & set(latents):
            raise ValueError(f"latents with {', '.join(latents)}; allowed: a code in one space")
        found.append(max(LATENT_SPACES.index(name) for name in latents if name in LATENT_SPACES))
    latest = LATENT_SPACES[max(found)]
    return "w+" if latest == "w" and any("z+" in one for one in ends) else latest


def lerp(a: Array, b: Array, share: float) -> Array:
    """(1 - share) a + share b; the ends are exact."""
    return (1 - share) * a + share * b


def slerp(a: Array, b: Array, share: float) -> Array:
    """The arc between the directions of a and b [..., d], at a length between theirs.

    Shoemake 1985. Along one line, where there is no arc, it is `lerp`; opposite vectors have many
    arcs, of which none is chosen: `lerp`, too.
    """
    lengths = [jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    p, q = (x / jnp.maximum(n, 1e-12) for x, n in zip((a, b), lengths, strict=True))
    cosine = jnp.sum(p * q, axis=-1, keepdims=True)
    aside = q - cosine * p
    sine = jnp.linalg.norm(aside, axis=-1, keepdims=True)
    angle = share * jnp.arctan2(sine, cosine)
    turned = p * jnp.cos(angle) + aside / jnp.maximum(sine, 1e-6) * jnp.sin(angle)
    arc = turned * lerp(lengths[0], lengths[1], share)
    return jnp.where(sine > 1e-4, arc, lerp(a, b, share))


def mix(
    gen: Generator, params: Params, content: Latents, style: Latents, rows: Sequence[int]
) -> Latents:
    """Latents of ONE sample whose `rows` of w+ are those of `style`, and the others of `content`.

    Style mixing (Karras et al. 2019, section 3.1); from one row on it is a crossover. What else
    draws (noise, changes of weights) is that of the content. Of latents in S rows are its layers.
    Raises `ValueError` for rows that there are not.
    """
    check_generator(gen, params)
    rows = row_numbers("rows", rows)
    space = "s" if common_space(content, style) == "s" else "w+"
    if space not in gen.spec.spaces:
        raise ValueError(f"generator {gen.spec.name!r} has no rows; allowed: one with W")
    count = len(gen.spec.styles) if space == "s" else gen.spec.rows
    if rows[-1] >= count:
        raise ValueError(f"rows {list(rows)}; allowed: some of 0 to {count - 1}")
    content, style = (fit_latents(gen.spec, one) for one in (content, style))
    first, second = (code_at(gen, params, one, space) for one in (content, style))
    mixed: Tree = tuple(second[i] if i in rows else first[i] for i in range(count))
    return with_code(content, space, mixed if space == "s" else jnp.stack(mixed))


def rows_of(text: str, gen: Generator) -> tuple[int, ...]:
    """Rows of w+ from text: "0-3,7", or a name of `ROW_NAMES` (by StyleGAN2's layout of 18 rows).

    Raises `ValueError` for anything else, and for rows that the generator does not have.
    """
    count = gen.spec.rows
    if text in ROW_NAMES:
        first, last = ROW_NAMES[text]
        layout = gen.spec.layout18 or range(count)
        found = [i for i, row in enumerate(layout) if first <= row < last]
    else:
        try:
            found = [row for part in text.split(",") for row in _span(part)]
        except ValueError as error:
            raise ValueError(
                f"rows {text!r}; allowed: numbers and spans, such as 0-3,7, or "
                f"{', '.join(ROW_NAMES)}"
            ) from error
    if not found or min(found) < 0 or max(found) >= count:
        raise ValueError(f"rows {text!r}; generator {gen.spec.name!r} has 0 to {count - 1}")
    return tuple(sorted(set(found)))


def _span(part: str) -> range:
    first, dash, last = part.strip().partition("-")
    return range(int(first), int(last if dash else first) + 1)


def walk(
    gen: Generator,
    params: Params,
    count: int,
    between: int,
    *,
    seed: int = 0,
    psi: float = 1.0,
    label: int | None = None,
    start: Latents | None = None,
) -> Latents:
    """A closed walk through `count` random codes with `between` frames from one to the next.

    Latents with a leading axis of count * between, of which the last leads to the first. The first
    code is `start`, latents of ONE sample, where it is given. Codes are drawn as `sample_latents`
    does and interpolated as by `interpolate`. Errors as there.
    """
    check_whole("count", count, 2)
    check_whole("between", between, 1)
    drawn = sample_latents(gen, params, count, seed=seed, psi=psi, label=label)
    stops: list[Any] = list(samples_of(drawn))
    if start is not None:
        stops[0] = start
    space = common_space(*stops)
    shares = [i / between for i in range(between)]
    parts = [
        interpolate(gen, params, (a, b), shares, space=space)
        for a, b in zip(stops, [*stops[1:], stops[0]], strict=True)
    ]
    if start is not None:
        names = set.intersection(*(set(part) for part in parts))
        parts = [{name: part[name] for name in names} for part in parts]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
