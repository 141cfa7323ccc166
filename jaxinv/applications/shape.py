"""The shape of what a generator draws, found from one picture: GAN2Shape.

A picture of a known shape can be turned and relit; what comes out is rough (a pseudo sample), and a
generator can draw what it should have looked like (a projected sample). From such samples a better
shape is found, and so on. Source: Pan et al. 2021, Do 2D GANs Know 3D Shape?, arXiv:2011.00844.

What differs: the albedo of the first stage is that which redraws the picture (no search); depth and
albedo are maps, added up over scales, instead of nets that see one picture only; the nets of view
and light say how far a projected sample is from what was asked for; and offsets are added to W in
its standard deviations, where the paper adds them before the last layers of the mapping network.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.discovery.samples import draw_codes
from jaxinv.edits.discovery.training import Fitted, Training, fitter, small_net, small_net_init
from jaxinv.losses.base import TermInputs
from jaxinv.losses.terms import evaluate, extract_features
from jaxinv.models.arguments import check_generator, check_latents
from jaxinv.models.generators.base import convert
from jaxinv.models.rendering import draw_one
from jaxinv.nn.depth_maps import FAR, MIDDLE, NEAR, Scene, draw, ellipsoid, normals, shade
from jaxinv.nn.resample import resize
from jaxinv.specs import Term
from jaxinv.specs.checks import check_above, check_seed, check_whole
from jaxinv.specs.vocabulary import DISCRIMINATOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.models.generators.base import Generator
    from jaxinv.types import Array, Key, Latents, Params, Tree

FRONT = (0.6, 0.4, 0.0, 0.0)  # the light before anything is known: what faces it is 1
VIEW_NET = (0.2, 0.2, 0.2, 0.02, 0.02, 0.02)  # the most that nets change of a view and of a light
LIGHT_NET = (0.3, 0.3, 0.5, 0.5)
VIEW_SPREAD = (0.15, 0.3, 0.0, 0.0, 0.0, 0.0)  # deviations of the views of pseudo samples
LIGHTS = ((-1.0, 1.0), (-0.2, 0.8))  # where their lights come from: ranges of x and of y
OFFSET, SMOOTH, FEATURES = 0.01, 0.01, 0.5  # weights, as in the paper
COARSEST = 4  # px of the coarsest scale of a map


class Plan(NamedTuple):
    """How a shape is searched for.

    size: side of its maps in px, at most that of the pictures.
    stages: how often pseudo samples are drawn of the shape so far.
    encoder_steps, shape_steps: of each stage, for the encoder of offsets and for shape and nets.
    samples: projected samples of a stage.
    batch: pictures of a step (8; 1 for generators above 64 px, of which one is much).
    radius: of the ellipsoid at the start, in halves of a side.
    rate: of Adam.
    seed: of all random draws.
    """

    size: int = 64
    stages: int = 4
    encoder_steps: int = 300
    shape_steps: int = 300
    samples: int = 48
    batch: int | None = None
    radius: float = 0.8
    rate: float = 3e-3
    seed: int = 0


USUAL = Plan()


class Shape(NamedTuple):
    """The shape that was found of one picture.

    scene: depth, albedo, view and light; `jaxinv.nn.depth_maps.draw` draws it, also otherwise
        turned and lit.
    normals: [n, n, 3], towards the camera.
    pseudo: [samples, n, n, 3], pictures of the last shape but one, turned and relit; `projected`,
        what the generator draws of them.
    error: mean absolute difference of the drawn scene and the picture.
    """

    scene: Scene
    normals: np.ndarray
    pseudo: np.ndarray
    projected: np.ndarray
    error: float


def find_shape(
    gen: Generator,
    params: Params,
    latents: Latents,
    *,
    plan: Plan = USUAL,
    report: Callable[[str], object] | None = None,
) -> Shape:
    """The depth, albedo, light and view of ONE picture of a generator.

    Args:
        gen: the generator, with its `params`.
        params: its parameters.
        latents: of one sample, [1, ...]: codes that lead to w+, or z where there is no W. Features
            and noise of a picture lie at fixed places, and are left out.
        plan: how it is searched for.
        report: is told the progress.

    Raises:
        ValueError: several samples, latents of another generator, and plans that make no sense;
            before anything is compiled.
    """
    check_generator(gen, params)
    plan = _checked(gen, plan)
    latents, count = check_latents(gen, params, latents)
    if count != 1:
        raise ValueError(f"{count} samples; allowed: one, whose shape is searched for")
    space = "w+" if gen.spec.w_dim else "z"
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), latents)
    code = convert(gen, params, one, space)
    rest = {n: v for n, v in one.items() if n in ("weights", "label", "embedding", "camera")}
    picture = resize(draw_one(gen, params, {**rest, space: code}, None), plan.size)
    known = {"params": params, "code": code, "rest": rest, "picture": picture}
    known["spread"] = jnp.asarray(_spread(gen, params))
    learn = _fitters(gen, plan, report)
    state = _start(plan, picture, known["spread"].shape[0])
    for stage in range(plan.stages):
        state, samples = _stage(gen, plan, (state, known, stage), learn)
    (scene,) = _scenes(state["shape"], picture[None], _asked(1))
    drawn, _ = draw(scene, plan.size)
    return Shape(
        scene=jax.tree.map(np.asarray, scene),
        normals=np.asarray(normals(scene.depth)),
        pseudo=samples["pseudo"],
        projected=samples["projected"],
        error=float(jnp.mean(jnp.abs(drawn - picture))),
    )


def _checked(gen: Generator, plan: Plan) -> Plan:
    for name in ("stages", "encoder_steps", "shape_steps"):
        check_whole(name, getattr(plan, name), 1)
    check_whole("size", plan.size, 16)
    if plan.size > gen.spec.resolution:
        raise ValueError(f"size {plan.size}; allowed: at most {gen.spec.resolution}")
    batch = plan.batch or (8 if gen.spec.resolution <= 64 else 1)
    check_whole("batch", batch, 1)
    check_whole("samples", plan.samples, batch)
    check_above("radius", plan.radius, 0.0)
    check_above("rate", plan.rate, 0.0)
    check_seed(plan.seed)
    return plan._replace(batch=batch)


def _spread(gen: Generator, params: Params) -> np.ndarray:
    """Standard deviations of a code, by coordinate: in these an offset is meant."""
    space = "w" if gen.spec.w_dim else "z"
    return draw_codes(gen, params, space, 256)[0].std(0)


def _start(plan: Plan, picture: Array, length: int) -> dict[str, Tree]:
    """The ellipsoid, the albedo that redraws the picture on it, and nets that say nothing yet."""
    depth = ellipsoid(plan.size, plan.radius)
    bright = shade(normals(depth), jnp.asarray(FRONT))[..., None]
    keys = jax.random.split(jax.random.key(plan.seed), 2)
    nets = small_net_init(keys[0], 3, plan.size, {"view": 6, "light": 4})
    shape = {
        "depth": _scales(plan.size, 1),
        "albedo": _scales(plan.size, 3),
        "nets": _silent(nets, ("view", "light")),
    }
    first = {"depth": _unbounded(depth)[..., None], "albedo": (picture + 1) / bright - 1}
    encoder = small_net_init(keys[1], 3, plan.size, {"offset": length})
    return {"shape": {**shape, "first": first}, "encoder": _silent(encoder, ("offset",))}


def _silent(net: Params, heads: tuple[str, ...]) -> Params:
    """A net whose last layers give 0."""
    last = {head: f"fc{len(net[head]) - 1}" for head in heads}
    zeros = {h: {**net[h], n: jax.tree.map(jnp.zeros_like, net[h][n])} for h, n in last.items()}
    return {**net, **zeros}


def _scales(side: int, channels: int) -> list[Array]:
    """A map of zeros by scales, from `COARSEST` px to its side."""
    sides = [side >> k for k in range(side.bit_length()) if side >> k >= COARSEST]
    return [jnp.zeros((one, one, channels)) for one in reversed(sides)]


def _whole(scales: list[Array]) -> Array:
    """The sum of all scales, enlarged linearly."""
    shape = scales[-1].shape
    return sum((jax.image.resize(one, shape, "linear") for one in scales), jnp.zeros(shape))


def _unbounded(depth: Array) -> Array:
    return jnp.arctanh((depth - MIDDLE) / ((FAR - NEAR) / 2))


def _surface(shape: Params) -> tuple[Array, Array]:
    """Depth within (NEAR, FAR), and albedo."""
    first = jax.lax.stop_gradient(shape["first"])
    depth = jnp.tanh(first["depth"] + _whole(shape["depth"]))[..., 0]
    return MIDDLE + (FAR - NEAR) / 2 * depth, first["albedo"] + _whole(shape["albedo"])


def _asked(count: int) -> tuple[Array, Array]:
    """The view and the light of the picture, before anything is known."""
    return jnp.zeros((count, 6)), jnp.tile(jnp.asarray(FRONT), (count, 1))


def _scenes(shape: Params, pictures: Array, asked: tuple[Array, Array]) -> list[Scene]:
    """What each picture shows: one surface, and the views and lights that the nets see."""
    depth, albedo = _surface(shape)
    said = small_net(shape["nets"], pictures)
    views = asked[0] + jnp.asarray(VIEW_NET) * jnp.tanh(said["view"])
    lights = asked[1] + jnp.asarray(LIGHT_NET) * jnp.tanh(said["light"])
    return [Scene(depth, albedo, *one) for one in zip(views, lights, strict=True)]


def _pseudo(scene: Scene, key: Key) -> tuple[Array, Array, tuple[Array, Array]]:
    """The scene turned and relit at random: a picture, its mask, and (view, light)."""
    first, *others = jax.random.split(key, 3)
    view = scene.view + jnp.asarray(VIEW_SPREAD) * jax.random.normal(first, (6,))
    ways = [jax.random.uniform(k, (), minval=a, maxval=b) for k, (a, b) in zip(others, LIGHTS)]  # noqa: B905
    light = jnp.concatenate([scene.light[:2], jnp.stack(ways)])
    picture, inside = draw(scene._replace(view=view, light=light), len(scene.depth))
    return picture, inside, (view, light)


def _project(gen: Generator, encoder: Params, known: Tree, pseudo: Array) -> tuple[Array, Array]:
    """What the generator draws near a pseudo sample, reduced, and the offset that the net says."""
    seen = small_net(encoder, (pseudo - known["picture"])[None])["offset"][0]
    space = "w+" if gen.spec.w_dim else "z"
    moved = {**known["rest"], space: known["code"] + seen * known["spread"]}
    return resize(gen.synthesize(known["params"], moved), len(pseudo)), seen


def _terms(gen: Generator) -> tuple[Term, ...]:
    """Absolute differences, and features of the discriminator where there is one."""
    if gen.discriminator is None:
        return (Term("l1"),)
    layers = min(4, len(gen.discriminator.steps))
    named = {"net": DISCRIMINATOR, "last_layers": layers, "distance": "l1"}
    return Term("l1"), Term("features", FEATURES, **named)


def _apart(gen: Generator, params: Params, pair: tuple[Array, Array], mask: Array) -> Array:
    """How far the first picture of a pair is from the second, where the mask [n, n] holds."""
    terms, nets = _terms(gen), {DISCRIMINATOR: params}
    side = gen.spec.resolution if gen.discriminator else len(mask)

    def seen(picture: Array) -> Any:
        large = jax.image.resize(picture, (side, side, 3), "linear")
        return extract_features(terms, nets, large, gen.discriminator)

    weights = jax.image.resize(mask[..., None].astype(float), (side, side, 1), "linear")
    given = TermInputs({}, {}, pair[0], seen(pair[0]), discriminator=gen.discriminator)
    target = seen(pair[1]), jax.lax.stop_gradient(weights)
    return evaluate(terms, nets, given, target, jnp.zeros(()))[0]


def _encoder_loss(gen: Generator, batch: int, encoder: Params, known: Tree, key: Key) -> Array:
    """How far projected samples are from their pseudo samples, and how far codes are moved."""

    def one(key: Key) -> Array:
        pseudo, inside, _ = _pseudo(known["scene"], key)
        drawn, offset = _project(gen, encoder, known, pseudo)
        apart = _apart(gen, known["params"], (drawn, pseudo), inside)
        return apart + OFFSET * jnp.mean(jnp.square(offset))

    return jnp.mean(jax.vmap(one)(jax.random.split(key, batch)))


def _shape_loss(gen: Generator, batch: int, shape: Params, known: Tree, key: Key) -> Array:
    """How far the turned and relit scene is from projected samples and from the picture."""
    few = jax.random.randint(key, (batch,), 0, len(known["projected"]))
    chosen = jax.tree.map(lambda leaf: leaf[few], (known["projected"], known["asked"]))
    pictures = jnp.concatenate([chosen[0], known["picture"][None]])
    asked = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), chosen[1], _asked(1))
    scenes = jax.tree.map(lambda *leaves: jnp.stack(leaves), *_scenes(shape, pictures, asked))

    def one(scene: Scene, picture: Array) -> Array:
        drawn, inside = draw(scene, len(picture))
        return _apart(gen, known["params"], (drawn, picture), inside)

    apart = jax.vmap(one)(scenes, pictures)
    depth = _surface(shape)[0] / (FAR - NEAR)
    rough = sum(jnp.mean(jnp.abs(jnp.diff(depth, axis=axis))) for axis in (0, 1)) * len(depth)
    return jnp.mean(apart[:-1]) + apart[-1] + SMOOTH * rough


@lru_cache(maxsize=4)
def _fitters(gen: Generator, plan: Plan, report: Any) -> dict[str, Callable[[Tree, Tree], Fitted]]:
    """The searches of a stage, compiled once for all stages and pictures of a plan."""
    batch = plan.batch or 1
    usual = Training(rate=plan.rate, seed=plan.seed, report=report)
    first = usual._replace(steps=plan.encoder_steps, label="learning offsets")
    second = usual._replace(steps=plan.shape_steps, label="finding the shape")
    return {
        "encoder": fitter(partial(_encoder_loss, gen, batch), first),
        "shape": fitter(partial(_shape_loss, gen, batch), second),
    }


def _stage(
    gen: Generator, plan: Plan, at: tuple[dict[str, Tree], Tree, int], learn: dict[str, Any]
) -> tuple[dict[str, Tree], dict[str, np.ndarray]]:
    """One round: pseudo samples, projected samples, and the shape that explains them."""
    state, known, number = at
    known = {**known, "scene": _scenes(state["shape"], known["picture"][None], _asked(1))[0]}
    encoder = learn["encoder"](state["encoder"], known).params
    keys = jax.random.split(jax.random.fold_in(jax.random.key(plan.seed), number), plan.samples)
    drawn = [_sampled(gen, encoder, known, key) for key in keys]
    pseudo, projected, views, lights = (np.stack(part) for part in zip(*drawn, strict=True))
    data = {**known, "projected": projected, "asked": (views, lights)}
    shape = learn["shape"](state["shape"], data).params
    samples = {"pseudo": pseudo, "projected": projected}
    return {"shape": shape, "encoder": encoder}, samples


@partial(jax.jit, static_argnums=0)
def _sampled(gen: Generator, encoder: Params, known: Tree, key: Key) -> tuple[Array, ...]:
    pseudo, _, asked = _pseudo(known["scene"], key)
    return pseudo, _project(gen, encoder, known, pseudo)[0], *asked
