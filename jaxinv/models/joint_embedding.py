"""Joint embeddings: pictures and texts as vectors of one space, CLIP's or any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.features.clip_tokenizer import ClipTokenizer
from jaxinv.models.features.named_layers import shapes_of
from jaxinv.models.features.nets import build_net
from jaxinv.models.loading import load_features
from jaxinv.specs.checks import check_array, check_callable, check_kind, check_list, told

if TYPE_CHECKING:
    from pathlib import Path

    from jaxinv.models.features.named_layers import Shapes
    from jaxinv.types import Array, Params

CLIP = "clip"
# Sentences in which a text is said, whose vectors are meant: less depends on the choice of one.
TEMPLATES = (
    *("{}", "a photo of {}", "a picture of {}", "a portrait of {}", "a close-up of {}"),
    *("a sharp photo of {}", "a blurred photo of {}", "a bright photo of {}", "a dark photo of {}"),
    *("a small picture of {}", "a large picture of {}", "a cropped picture of {}"),
)


class JointEmbedding(NamedTuple):
    """A tower for pictures and a tower for texts, whose vectors lie in one space.

    picture: of an image [h, w, 3] in [-1, 1] a vector [n]; with gradients, and with its arrays:
        `jax.tree_util.Partial(function, arrays)`.
    texts: of a list of m texts vectors [m, n].
    name: under which what was measured with it is kept on disk; "": it is not.
    """

    picture: Callable[[Array], Array]
    texts: Callable[[Sequence[str]], Any]
    name: str = ""


def clip_embedding(
    params: Params | None = None, vocabulary: str | Path | None = None
) -> JointEmbedding:
    """The joint embedding of CLIP (Radford et al. 2021).

    Args:
        params: those of a converted CLIP; default: of the one that `jaxinv convert FILE --name
            clip` has made.
        vocabulary: of its tokenizer; default: what `jaxinv pull clip-vocabulary` fetched.

    Raises:
        ValueError: weights, vocabulary or a package are missing, what to do in the message.
    """
    params = load_features((CLIP,))[CLIP] if params is None else params
    shapes, tokens = shapes_of(params), ClipTokenizer(vocabulary)
    embed = _text_tower(shapes)

    def texts(given: Sequence[str]) -> np.ndarray:
        return np.stack([np.asarray(embed(params, ids)) for ids in tokens(given)])

    picture = jax.tree_util.Partial(partial(_picture, shapes), params)
    return JointEmbedding(picture, texts, CLIP)


def _picture(shapes: Shapes, params: Params, image: Array) -> Array:
    return build_net(CLIP, shapes).embed(params, image)


@lru_cache
def _text_tower(shapes: Shapes) -> Callable[[Params, Array], Array]:
    return jax.jit(build_net(CLIP, shapes).text)  # pyright: ignore[reportArgumentType]


def check_text(what: str, text: object) -> str:
    """The text without blanks around it; `ValueError` for none, with `what` it is."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{what} is {told(text)}; allowed: some words")
    return text.strip()


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """The sentences; `ValueError` unless there is one at least, each with one place {}."""
    check_list("templates", templates, "sentences with {} in the place of the text")
    for sentence in templates:
        if not isinstance(sentence, str) or sentence.count("{}") != 1:
            raise ValueError(f"template {told(sentence)}; allowed: one with {{}} once")
    if not len(templates):
        raise ValueError("no templates; allowed: at least one sentence with {}")
    return tuple(templates)


def embed_texts(joint: JointEmbedding, texts: Sequence[str]) -> np.ndarray:
    """Vectors float32 [m, n] of texts.

    Raises `ValueError` for an empty text, and for vectors that are not finite or not as long as
    those of pictures: towers that do not belong together.
    """
    check_joint(joint)
    check_list("texts", texts, "texts")
    said = [check_text("text", one) for one in texts]
    found = check_array("vectors of texts", joint.texts(said)).astype(np.float32)
    seen = jax.eval_shape(joint.picture, jax.ShapeDtypeStruct((64, 64, 3), jnp.float32))
    if found.shape != (len(said), seen.size) or seen.ndim != 1:
        raise ValueError(
            f"texts are embedded as {list(found.shape)}, a picture as {list(seen.shape)}; allowed: "
            f"towers of one space, [{len(said)}, n] and [n]"
        )
    return found


def embed_sentences(
    joint: JointEmbedding, text: str, templates: Sequence[str] = TEMPLATES
) -> np.ndarray:
    """Vectors [m, n] of a text in each of m sentences (Radford et al. 2021, section 3.1.4)."""
    said = check_text("text", text)
    return embed_texts(joint, [one.replace("{}", said) for one in check_templates(templates)])


def check_joint(joint: object) -> None:
    """Raise `ValueError` for what is no joint embedding."""
    check_kind("joint", joint, JointEmbedding, " (clip_embedding() is CLIP's)")
    for name in ("picture", "texts"):
        check_callable(f"{name} of a joint embedding", getattr(joint, name))
