"""Two small generators for the tests: a random MobileStyleGAN, and a linear one."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.models.generators.base import Generator, StepRange, missing_capability
from jaxinv.models.loading import build
from jaxinv.models.rendering import render
from jaxinv.models.statistics import STATISTICS, w_statistics
from jaxinv.nn.conv import BACKWARD_KERNELS, precompute_backward
from jaxinv.nn.resample import area_reduce
from jaxinv.runs.doctor import TINY
from jaxinv.specs import GeneratorSpec
from jaxinv.types import Array, Key, Params, State

LINEAR = GeneratorSpec(
    name="linear",
    architecture="linear",
    resolution=16,
    z_dim=7,
    w_dim=6,
    rows=3,
    styles=(6, 6, 6),
    noise=(16,),
)
GRAIN = 0.1  # how strongly the noise map of the linear generator shows
Pair = tuple[Generator, Params]


# One block less than the generator of `jaxinv doctor`.
SMALL = replace(
    TINY, name="small", resolution=16, rows=5, styles=(16, 16, 4, 8, 8), noise=(4, 8, 8)
)


# 16 px, two layers in the mapping, clamped.
STYLE = GeneratorSpec(
    name="style",
    architecture="stylegan2",
    resolution=16,
    z_dim=8,
    w_dim=8,
    rows=6,
    styles=(16, 16, 16, 12, 12, 12, 8, 8),
    noise=(4, 8, 8, 16, 16),
    facts=(
        ("clamp", 4.0),
        ("mapping_layers", 2),
        ("discriminator", ("progressive", "residual", (8, 8, 6), 4, 4.0, 1, "none", 0, 0)),
    ),
)


# Dense to 4 px, a convolution, attention, and two doublings.
CHAIN = GeneratorSpec(
    name="chain",
    architecture="dcgan",
    resolution=16,
    z_dim=8,
    prior="uniform",
    facts=(
        (
            "layers",
            (
                ("dense", 8, "relu", 4),
                ("conv", 8, "leaky_relu", 0, 3, 1, 1),
                ("attend", 8, "none"),
                ("up", 6, "relu", 0, 4, 2, 1),
                ("up", 1, "tanh", 0, 4, 2, 1),
            ),
        ),
    ),
)


# 16 px: two blocks, attention between them; ten classes with vectors of 4, z in three shares.
CLASSES = GeneratorSpec(
    name="classes",
    architecture="biggan",
    resolution=16,
    z_dim=9,
    labels=10,
    embedding=4,
    facts=(
        ("attention", (0,)),
        ("blocks", ((16, 16, True), (16, 8, True))),
        ("condition", "split"),
        ("deep", False),
        ("epsilons", (1e-4, 1e-5)),
        ("table", True),
    ),
)


OLD = GeneratorSpec(
    name="old",
    architecture="stylegan1",
    resolution=16,
    z_dim=8,
    w_dim=8,
    rows=6,
    styles=(32, 32, 24, 24, 16, 16),
    noise=(4, 4, 8, 8, 16, 16),
    facts=(("mapping_layers", 2),),
)
GROWN = GeneratorSpec(
    name="grown",
    architecture="pggan",
    resolution=16,
    z_dim=8,
    facts=(("widths", (16, 12, 8)),),
)


THIRD = GeneratorSpec(
    name="third",
    architecture="stylegan3",
    resolution=16,
    z_dim=8,
    w_dim=8,
    rows=4,
    styles=(4, 8, 8, 6),
    facts=(
        ("grid", (8, 12, 8.0, 2.0)),
        (
            "layers",
            (
                # Twice the rate between two filters; then the rate doubles; then the image.
                (8, 8, 3, 2, 2, (12, 12), True, (9, 8, 9, 8), 256.0, False),
                (8, 6, 3, 4, 2, (24, 12), False, (6, 3, 6, 3), 256.0, False),
                (6, 3, 1, 1, 1, (0, 0), False, (0, 0, 0, 0), 256.0, True),
            ),
        ),
        ("mapping_layers", 2),
        ("scale", 1.0),
    ),
)


# 120 points of a tree: 1, 4, 12 and 120 nodes; one more is needed for a square.
TREE = GeneratorSpec(
    name="tree",
    architecture="treegan",
    resolution=11,
    z_dim=8,
    points=120,
    facts=(("layers", ((12, 1), (12, 4), (8, 3), (3, 10))), ("support", 3)),
)


def tree() -> Pair:
    """A tree-GAN with random weights, ready for the engine; it draws clouds."""
    return mobile(TREE)


def classes() -> Pair:
    """A BigGAN with random weights, ready for the engine; its class vectors are learnt."""
    return mobile(CLASSES)


def third() -> Pair:
    """A StyleGAN3 with random weights, ready for the engine."""
    return mobile(THIRD)


def old() -> Pair:
    """The first StyleGAN with random weights, ready for the engine."""
    return mobile(OLD)


def grown() -> Pair:
    """A PGGAN with random weights, ready for the engine; it has no W space."""
    return mobile(GROWN)


def chain() -> Pair:
    """A grey DCGAN with random weights, ready for the engine; it has no W space."""
    return mobile(CHAIN)


def style() -> Pair:
    """A StyleGAN2 with random weights, ready for the engine."""
    return mobile(STYLE)


@lru_cache
def mobile(spec: GeneratorSpec = TINY) -> Pair:
    """A generator with random weights, by default a MobileStyleGAN, ready for the engine."""
    gen = build(spec)
    shapes = jax.eval_shape(gen.init, jax.random.key(0))
    draws = np.random.default_rng(0)

    def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> Array:
        names = [part.key for part in path]
        if names[-1].endswith("filter"):
            return jnp.full(leaf.shape, 1 / np.prod(leaf.shape))
        if names[-1] in ("transform", "gain"):
            return jnp.eye(3) if names[-1] == "transform" else jnp.ones(leaf.shape)
        if names[-1] in ("mean", "variance"):
            return jnp.full(leaf.shape, float(names[-1] == "variance"))
        if names[-1] == "bias":  # modulations start at 1, as in a trained network
            return jnp.full(leaf.shape, float("style" in names))
        fan_in = float(np.prod(leaf.shape[:-1]))
        variance = {"mapping": 1 / fan_in, "style": 0.1 / fan_in}
        # MobileStyleGAN has no strength beside a map: it is part of it.
        noise = 0.01 if spec.architecture == "mobilestylegan" else 1.0
        variance |= {"const": 1.0, "noise": noise, "strength": 0.01, "depthwise": 1 / 9}
        scale = np.sqrt(next((variance[name] for name in names if name in variance), 2 / fan_in))
        values = draws.standard_normal(leaf.shape, np.float32)
        if names[-1] == "noise":  # maps have mean square 1, as those of checkpoints nearly have
            values /= np.sqrt(np.mean(values * values))
        return jnp.asarray(scale * values)

    params = jax.tree_util.tree_map_with_path(fill, shapes)
    params[BACKWARD_KERNELS] = precompute_backward(params)
    return gen, params | ({STATISTICS: w_statistics(gen, params)} if spec.w_dim else {})


@lru_cache
def linear() -> Pair:
    """A generator whose answers are known: w = z @ mix + shift and

    image = base + sum over rows of basis[row] @ w[row] + GRAIN x noise.
    """
    gen = Generator(
        spec=LINEAR,
        steps=("sum",),
        init=_linear_params,
        map=lambda params, z: z @ params["mapping"]["mix"] + params["mapping"]["shift"],
        affine=lambda params, w: tuple(w),
        embed=missing_capability(LINEAR, "class embedding"),
        run=_linear_run,
        stored_noise=lambda params: (params["synthesis"]["noise"],),
    )
    params = _linear_params(jax.random.key(0))
    return gen, {**params, STATISTICS: w_statistics(gen, params)}


def _linear_params(key: Key) -> Params:
    draws = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    side, rows, w_dim = LINEAR.resolution, LINEAR.rows, LINEAR.w_dim
    scales = {
        "mapping": {"mix": (1.0, (LINEAR.z_dim, w_dim)), "shift": (1.0, (w_dim,))},
        "synthesis": {
            "basis": (0.1, (rows, side, side, 3, w_dim)),
            "base": (0.1, (side, side, 3)),
            "noise": (1.0, (side, side)),
        },
    }
    return {
        part: {
            name: jnp.asarray(scale * draws.standard_normal(shape), jnp.float32)
            for name, (scale, shape) in table.items()
        }
        for part, table in scales.items()
    }


def _linear_run(
    params: Params,
    s: tuple[Array, ...],
    noise: tuple[Array, ...] | None,
    state: State,
    part: StepRange,
) -> State | Array:
    tree = params["synthesis"]
    (grain,) = noise or (tree["noise"],)
    if part.first == 0:
        plain = tree["base"] + jnp.einsum("rhwcd,rd->hwc", tree["basis"], jnp.stack(s))
        state = {"x": plain + GRAIN * grain[..., None]}
    return state if part.last else area_reduce(state["x"], part.size)


def draw(pair: Pair, seed: int, count: int = 1) -> np.ndarray:
    """Pictures [count, r, r, 3] of random z: targets that the generator can reach exactly."""
    gen, params = pair
    z = np.random.default_rng(seed).standard_normal((count, gen.spec.z_dim), np.float32)
    return render(gen, params, {"z": z})


def solve_linear(image: np.ndarray, space: str, mask: np.ndarray | None = None) -> np.ndarray:
    """The "w" or "w+" whose picture by the linear generator is closest to `image` [r, r, 3].

    `mask` [r, r] is 1 where pixels count and 0 elsewhere.
    """
    tree = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), linear()[1]["synthesis"])
    basis = tree["basis"] if space == "w+" else tree["basis"].sum(0, keepdims=True)
    matrix = np.moveaxis(basis, 0, -2).reshape(image.size, -1)
    rest = image - tree["base"] - GRAIN * tree["noise"][..., None]
    rows = np.repeat(np.ones(image.shape[:2]) if mask is None else mask, 3)
    found = np.linalg.lstsq(rows[:, None] * matrix, rows * rest.ravel(), rcond=None)[0]
    return found.reshape(-1, LINEAR.w_dim) if space == "w+" else found
