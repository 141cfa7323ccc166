"""What a method that finds directions is asked, and what several of them begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.edits.directions import Direction
from jaxinv.edits.discovery.samples import draw_codes, score_all
from jaxinv.edits.discovery.scores import check_scores
from jaxinv.edits.editing import edit
from jaxinv.latents.spaces import draw_prior
from jaxinv.models.generators.base import convert
from jaxinv.models.joint_embedding import (
    TEMPLATES,
    JointEmbedding,
    check_joint,
    check_templates,
    check_text,
    clip_embedding,
)
from jaxinv.specs.checks import check_at_least, check_kind, check_whole

if TYPE_CHECKING:
    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Latents, Params

LENGTH = "a step of length 1"
DEVIATION = "a standard deviation of the samples"
SCORED_SIDE = 256  # px of the pictures that are scored, or the generator's own
SIDE = 64  # px of the pictures that nets learn from
PROBES = 32  # fresh codes on which a walk's effects are measured


@dataclass(frozen=True)
class Text:
    """What a text asks for.

    Attributes:
        words: what pictures shall show.
        neutral: what they show anyway ("a face"), for a direction from there.
        joint: where pictures and texts are compared; None is `clip_embedding()`.
        templates: sentences in which both are said, with {} for them.
        threshold: least relevance of a channel that is moved (StyleCLIP's beta): less disentangles
            less.
        probes: pictures in which every channel is tried.

    Raises:
        ValueError: no words, the same twice, or settings that make no sense.
    """

    words: str
    neutral: str = ""
    joint: JointEmbedding | None = None
    templates: tuple[str, ...] = TEMPLATES
    threshold: float = 0.15
    probes: int = 100

    def __post_init__(self) -> None:
        check_text("text", self.words)
        if self.neutral and check_text("neutral", self.neutral) == self.words.strip():
            raise ValueError(f"text and neutral are both {self.words!r}; allowed: different words")
        if self.joint is not None:
            check_joint(self.joint)
        object.__setattr__(self, "templates", check_templates(self.templates))
        check_at_least("threshold", self.threshold, 0)
        check_whole("probes", self.probes, 1)


@dataclass(frozen=True)
class Request:
    """What a method is asked.

    Attributes:
        gen: the generator.
        params: its parameters.
        space: "z", "w" or "s".
        samples: how many codes are drawn.
        count: directions wanted.
        name: what they shall be called.
        scores: of the samples [n], or a function of pictures uint8 [b, h, w, 3]; None without.
        keep: the same of attributes that must not move, by name.
        edit: of `steerability.EDITS` or of `first_layer_walks.SOURCES`; "" without.
        move: a direction or walk and an amount, which a student learns to make; None without.
        text: what a text asks for; None without.
        rows: of W+ that SeFa looks at; None is all.
        cut: a step of the generator after which features are looked at; "" without.
        estimator: of `principal.ESTIMATORS`.
        layer: the array of weights that changes, with "/" between names; "" without.
        steps: of training.
        seed: of the draws.
        report: takes lines about the progress.
    """

    gen: Generator
    params: Params
    space: str
    samples: int = 2000
    count: int = 1
    name: str = ""
    scores: Any = None
    keep: dict[str, Any] = field(default_factory=dict[str, Any])
    edit: str = ""
    move: tuple[Way, float] | None = None
    text: Text | None = None
    rows: tuple[int, ...] | None = None
    cut: str = ""
    estimator: str = "pca"
    layer: str = ""
    steps: int = 1000
    seed: int = 0
    report: Any = None


@dataclass(frozen=True)
class Method:
    """One line of the table: what is called, what it needs, where it works, and whose it is.

    `needs` is "scores", "edit", "move", "text", "texts" (with a neutral one) or "" (nothing but the
    generator); `takes` are the fields of a request that only some methods look at.
    """

    find: Callable[[Request], list[Any]]
    needs: str
    spaces: tuple[str, ...]
    reference: str
    takes: tuple[str, ...] = ()


def check_said(method: str, text: Text | None, needs: str) -> None:
    """Raise `ValueError` unless there is the text that a method needs, with a neutral or not."""
    check_kind("text", Text("-") if text is None else text, Text, ' (Text("words"))')
    wanted = {"text": "a text", "texts": "a text and a neutral one"}.get(needs, "none")
    given = "none"
    if text is not None:
        given = "a text and a neutral one" if text.neutral else "a text"
    if given != wanted:
        raise ValueError(f"text for method {method!r}: {given}; allowed: {wanted}")


def joint_of(text: Text) -> JointEmbedding:
    """The joint embedding of a text, its towers checked; CLIP's where none is given.

    A plain function of pictures is made one that compiled programs take as an argument.
    """
    joint = clip_embedding() if text.joint is None else text.joint
    if not isinstance(joint.picture, jax.tree_util.Partial):
        joint = joint._replace(picture=jax.tree_util.Partial(joint.picture))
    return joint


def direction(asked: Request, vector: np.ndarray, unit: str, **more: Any) -> Direction:
    """A direction of a vector [d] of the space that was asked for."""
    if asked.space == "s":
        ends = np.cumsum(asked.gen.spec.styles)[:-1]
        vector = tuple(np.split(np.asarray(vector, np.float32), ends))  # type: ignore[assignment]
    return Direction(asked.name, asked.space, vector, unit=unit, **more)


def numbered(asked: Request, count: int) -> list[Request]:
    """The request once for each of `count` results, with a number in its name if several."""
    if count == 1:
        return [asked]
    return [replace(asked, name=f"{asked.name}-{i:02d}") for i in range(count)]


def several(asked: Request, vectors: np.ndarray, unit: str, **more: Any) -> list[Direction]:
    """A direction for each of vectors [k, d]."""
    each = numbered(asked, len(vectors))
    return [direction(one, v, unit, **more) for one, v in zip(each, vectors, strict=True)]


def scored(asked: Request) -> tuple[np.ndarray, np.ndarray]:
    """Random codes [n, d] and the scores [n, 1 + kept] of what is asked for and what is kept."""
    codes, latents = draw_codes(asked.gen, asked.params, asked.space, asked.samples, asked.seed)
    given = {asked.name: asked.scores, **asked.keep}
    measured = _measured(asked, latents)
    columns = [measured[n] if n in measured else check_scores(one) for n, one in given.items()]
    return codes, np.stack(columns, 1)


def _measured(asked: Request, latents: Latents, *, apart: bool = True) -> dict[str, np.ndarray]:
    """Scores of the pictures of latents, by every function that the request has."""
    given = {asked.name: asked.scores, **asked.keep}
    functions: dict[str, Any] = {name: one for name, one in given.items() if callable(one)}
    size = min(SCORED_SIDE, asked.gen.spec.resolution)
    report = asked.report if apart else None
    drawn = (asked.gen, asked.params, latents, functions)
    return score_all(*drawn, size=size, report=report, apart=apart)


def with_effects(asked: Request, way: Any) -> Any:
    """The way with what an amount of 1 changes on fresh codes, where scores are functions."""
    _, latents = draw_codes(asked.gen, asked.params, asked.space, PROBES, asked.seed + 1)
    before = _measured(asked, latents, apart=False)
    if not before:
        return way
    moved = edit(asked.gen, asked.params, latents, [(way, 1.0)])
    after = _measured(asked, moved, apart=False)
    return replace(way, effects={n: float((after[n] - before[n]).mean()) for n in before})


def any_class(asked: Request) -> dict[str, Array]:
    """A random class, for generators that draw one and codes that do not say it."""
    if asked.space != "z" or not asked.gen.spec.labels:
        return {}
    return {"label": draw_prior(asked.gen.spec, jax.random.key(asked.seed))["label"]}


def side(asked: Request) -> int:
    """The side of the pictures that nets learn from."""
    return min(SIDE, asked.gen.spec.resolution)


def learning(asked: Request) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """(params, codes) -> pictures, and (params, key, n) -> random codes, for methods that learn."""
    gen, label = asked.gen, any_class(asked)

    def draw(params: Params, codes: Array) -> Array:
        size = side(asked)
        return jax.vmap(lambda c: gen.synthesize(params, {asked.space: c, **label}, size))(codes)

    def sample(params: Params, key: Key, count: int) -> Array:
        def one(own: Key) -> Array:
            return convert(gen, params, draw_prior(gen.spec, own), asked.space)

        return jax.vmap(one)(jax.random.split(key, count))

    return draw, sample
