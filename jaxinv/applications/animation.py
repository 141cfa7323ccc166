"""Animation of one picture by the motion of a clip: paths of codes, in principal components.

Sources: Logacheva et al. 2020, DeepLandscape (ECCV): a code has a part that stays and one that
changes with time, which moves alone; Fox et al. 2021, StyleVideoGAN, arXiv:2107.07224: motion is
learned in the principal components of the codes of a clip's frames, and carried to other codes as
an offset. There networks draw new motion; here it is a linear recursion that is fitted to the clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.directions import row_numbers
from jaxinv.edits.paths import code_at, with_code
from jaxinv.io.latent_files import fit_latents
from jaxinv.models.arguments import check_generator, check_latents, samples_of
from jaxinv.specs.checks import check_kind, check_number, check_seed, check_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Latents, Params

RIDGE = 1e-3  # of the recursion's fit, times the mean variance
SLOWEST = 0.99  # greatest factor by which a drawn motion may grow from frame to frame


class Motion(NamedTuple):
    """How a code moves in T frames, without what it is.

    Attributes:
        space: of the codes: "w+", or "z" where there is no W.
        components: [k, ...code], orthonormal; the first moves most.
        path: [T, k], how far the code is from that of the first frame.
        explained: share of the clip's squared motion that the components hold.
    """

    space: str
    components: np.ndarray
    path: np.ndarray
    explained: float


def learn_motion(
    gen: Generator,
    params: Params,
    latents: Latents,
    *,
    components: int | None = None,
    rows: Sequence[int] | None = None,
) -> Motion:
    """The motion of a clip, from the latents [T, ...] of its frames in order.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: of T frames, as `invert_frames` finds them; only codes count.
        components: how many are kept (all that move); few keep what all frames do, and leave
            out the shaking of single searches.
        rows: of w+ that move (all): those of DeepLandscape's dynamic part.

    Raises:
        ValueError: fewer than 2 frames, frames that are all the same, more components than frames
            can show, rows that there are not.
    """
    check_generator(gen, params)
    latents, count = check_latents(gen, params, latents, "latents")
    if count < 2:
        raise ValueError(f"a clip of {count} frame; allowed: at least 2")
    if components is not None:
        check_whole("components", components, 1)
        if components >= count:
            raise ValueError(
                f"components {components} of {count} frames; allowed: at most {count - 1}"
            )
    space = _space(gen)
    codes = np.stack([np.asarray(code_at(gen, params, one, space)) for one in samples_of(latents)])
    moved = codes.astype(np.float64) - codes[0]
    if rows is not None:
        moved *= _moving(gen, rows)[:, None]
    flat = moved.reshape(count, -1)
    _, sizes, axes = np.linalg.svd(flat, full_matrices=False)
    if sizes[0] <= 1e-6 * max(float(np.abs(codes).max()), 1e-6):
        raise ValueError(f"{count} frames with the same code; allowed: frames that differ")
    kept = min(components or count, int((sizes > 1e-6 * sizes[0]).sum()))
    axes = axes[:kept]
    explained = float(np.square(sizes[:kept]).sum() / np.square(sizes).sum())
    shape = (kept, *codes.shape[1:])
    return Motion(space, axes.reshape(shape), flat @ axes.T, explained)


def drawn_motion(motion: Motion, frames: int, seed: int = 0) -> Motion:
    """Motion of any length like that of a clip: a linear recursion with noise, from its start.

    The recursion x[t+1] = A x[t] + b is fitted to the path by least squares and never grows; noise
    is drawn with the covariance of what it leaves. Raises `ValueError` for fewer than 2 frames, and
    for a clip of fewer than 3.
    """
    check_kind("motion", motion, Motion)
    check_whole("frames", frames, 2)
    check_seed(seed)
    path = motion.path
    if len(path) < 3:
        raise ValueError(
            f"a clip of {len(path)} frames to draw new motion from; allowed: 3 or more"
        )
    before = np.concatenate([path[:-1], np.ones((len(path) - 1, 1))], axis=1)
    weight = RIDGE * np.square(path).mean() * np.eye(before.shape[1])
    fitted = np.linalg.solve(before.T @ before + weight, before.T @ path[1:])
    turn, drift = fitted[:-1], fitted[-1]
    turn = turn * min(1.0, SLOWEST / max(np.abs(np.linalg.eigvals(turn)).max(), 1e-12))
    left = path[1:] - before @ np.concatenate([turn, drift[None]])
    spread = np.linalg.svd(left / np.sqrt(len(left)), full_matrices=False)
    draws = np.random.default_rng(seed)
    found = [path[0]]
    for _ in range(frames - 1):
        noise = (draws.standard_normal(len(spread[1])) * spread[1]) @ spread[2]
        found.append(found[-1] @ turn + drift + noise)
    return motion._replace(path=np.stack(found))


def animate(
    gen: Generator,
    params: Params,
    latents: Latents,
    motion: Motion,
    *,
    amount: float = 1.0,
    loop: bool = False,
) -> Latents:
    """Latents [T, ...] of a picture that moves as a clip did; the first frame is the picture.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: of ONE sample. What they hold beside a code (noise, weights) stays.
        motion: of a clip of the same generator.
        amount: how strongly it moves.
        loop: go back the same way, so that the last frame leads to the first.

    Raises:
        ValueError: latents or motion that do not fit the generator.
    """
    check_generator(gen, params)
    check_kind("motion", motion, Motion)
    check_number("amount", amount)
    latents = fit_latents(gen.spec, latents)
    code = np.asarray(code_at(gen, params, latents, _space(gen)))
    if motion.space != _space(gen) or motion.components.shape[1:] != code.shape:
        raise ValueError(
            f"motion in {motion.space} of {list(motion.components.shape[1:])}; allowed: "
            f"{_space(gen)} of {list(code.shape)} (generator {gen.spec.name!r})"
        )
    path = motion.path
    if loop:
        path = np.concatenate([path, path[-2:0:-1]])
    offsets = amount * np.tensordot(path, motion.components, axes=1)
    moved = [with_code(latents, motion.space, jnp.asarray(code + o, jnp.float32)) for o in offsets]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *moved)


def _space(gen: Generator) -> str:
    return "w+" if gen.spec.w_dim else "z"


def _moving(gen: Generator, rows: Sequence[int]) -> np.ndarray:
    """[rows], 1 for those that move."""
    chosen, count = row_numbers("rows", rows), gen.spec.rows
    if not gen.spec.w_dim or chosen[-1] >= count:
        allowed = f"some of 0 to {count - 1}" if gen.spec.w_dim else "a generator with W"
        raise ValueError(f"rows {list(chosen)} of {gen.spec.name!r}; allowed: {allowed}")
    return np.isin(np.arange(count), chosen).astype(float)
