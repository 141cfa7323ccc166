"""One batch of `invert`: a lane for every image and restart, all stages, and the best restart."""

# jax annotates its arguments only in part (here: vmap, stack, tree.map).
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxinv.encoders.ridge_regression import learned_init, needs_learned_init
from jaxinv.encoders.starts import sees_masks, start_codes
from jaxinv.inversion.layerwise import layerwise_codes
from jaxinv.inversion.masks import masks_after
from jaxinv.inversion.objective import mask_out
from jaxinv.inversion.problem import Lane, NetworkParams, Problem
from jaxinv.inversion.refilling import slots_of, solve_in_slots
from jaxinv.inversion.restarts import Batch, choose_restarts
from jaxinv.inversion.result import Progress
from jaxinv.inversion.shared_variables import group_lanes, ungroup
from jaxinv.inversion.stages import LOSS, BestSoFar, pgd_target, solve, target_features
from jaxinv.nn.resample import fill_masked
from jaxinv.operators import build as build_operator
from jaxinv.solvers.basin_cma import BASINS
from jaxinv.solvers.evolution import STRATEGIES
from jaxinv.specs.vocabulary import ENCODER, LATENT_SPACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxinv.inversion.bind import BoundProblem
    from jaxinv.inversion.search_checkpoints import SearchCheckpoints
    from jaxinv.models.generators.base import Generator
    from jaxinv.specs import Preset, Stage
    from jaxinv.types import Array, Latents


MAX_BATCHED_SIDE = (
    64  # px; a CPU draws several pictures of smaller networks faster at once than in turn
)
MAX_CPU_LANES = 16
REFILLS = 4  # batches that are given at once where searches end by themselves, one at a time
# Solvers that breed now and then: lanes that go at once would all do so at every step.
VARIABLE_COST_SOLVERS = (*STRATEGIES, *BASINS)


def padded_size(count: int, batch: int) -> int:
    """Size to which `count` images are padded: the smallest power of two, at most `batch`.

    No device is left idle: one image alone goes through the same program as in a batch, and more
    than a batch are as many for each device.
    """
    devices = jax.local_device_count()
    if count > batch:
        return -(-count // devices) * devices
    least = max(count, min(devices, batch))
    return min(batch, 1 << (least - 1).bit_length())


def sequential(stage: Stage) -> bool:
    """Whether a batch of images gains nothing: on CPU, and where every lane has its own weights."""
    return jax.default_backend() == "cpu" or has_own_weights(stage)


def images_at_once(preset: Preset, batch: int, width: int | None) -> int:
    """Images that share a program: `batch`, or one for each device if all stages are `sequential`.

    Then the same program serves any batch, and a larger one would gain nothing.
    """
    if width is not None or preset.shared or not all(map(sequential, preset.stages)):
        return batch
    return min(batch, jax.local_device_count())


def batches_given(preset: Preset, batch: int) -> int:
    """How many batches are given at once: several, where a search that ends makes room for another.

    One where images are not searched for at once anyway, and where they depend on one another.
    """
    ends = any(stage.stop is not None for stage in preset.stages) and not preset.shared
    return REFILLS if ends and images_at_once(preset, batch, None) > 1 else 1


def has_own_weights(stage: Stage) -> bool:
    """Whether every lane changes the generator's weights for itself."""
    return "weights" in stage.spaces and "weights" not in stage.shared


def lane_width(gen: Generator, stage: Stage, lanes: Batch) -> int:
    """Lanes of a stage that go at once.

    All of them on accelerators. On CPU one, or, where the network is small and all steps cost the
    same, the restarts of one image: whatever the batch, a program of the same shape.
    """
    if not sequential(stage):
        return len(lanes.images)
    alone = has_own_weights(stage) or stage.shared or stage.solver.name in VARIABLE_COST_SOLVERS
    return (
        1
        if alone or gen.spec.resolution > MAX_BATCHED_SIDE
        else min(lanes.restarts_per_image, MAX_CPU_LANES)
    )


@jax.jit
def stage_keys(keys: Array, index: int) -> Array:
    """The keys [L] of all lanes in the stage of this number."""
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, index)


def run_stages(
    bound: BoundProblem,
    lanes: Batch,
    *,
    width: int | None = None,
    most: int | None = None,
    record_terms: tuple[str, ...] = (),
    keep_all_restarts: bool = False,
    report: Callable[[Progress], None] | None = None,
    finished: int = 0,
    kept: SearchCheckpoints | None = None,
) -> dict[str, Any]:
    """All stages of a preset on one batch, best restart chosen; arrays lead with an image axis.

    `finished` images of the same call were searched for before; `report` is told. With checkpoints
    `kept` every stage goes on from its own. Of more than `most` images only so many go at once.
    """
    gen, weights, preset = bound.gen, bound.weights, bound.preset
    wanted = lanes.num_images * lanes.restarts_per_image
    previous, named_masks = initial_latents(bound, lanes), lanes.named_masks
    reached: list[BestSoFar] = []
    curves: list[dict[str, np.ndarray]] = []
    for index, stage in enumerate(preset.stages):
        lanes_at_once = lane_width(gen, stage, lanes) if width is None else width
        if most is not None and most * lanes.restarts_per_image < lanes_at_once:
            lanes_at_once = -(-most * lanes.restarts_per_image // jax.local_device_count())
        problem = Problem(gen, stage, lanes.size, lanes_at_once, record_terms, preset.operator)
        images, masks = lanes.images, lanes.masks
        if stage.pgd_step_size:
            images, masks = pgd_target(problem.program, weights, previous, images), None
            problem = problem._replace(operator=None)
        if index and begins_at_encoder(stage):
            previous = encoder_latents(weights, images, previous)
        keys = stage_keys(lanes.keys, index)
        target = target_features(
            problem.program,
            weights,
            mask_out(images, masks),
            lanes.named_images,
            lanes.named_vectors,
        )
        given = Lane(target, masks, keys, lanes.restarts, previous, named_masks)

        def on_chunk(
            step: int,
            losses: np.ndarray,
            latents: Callable[[], Latents],
            i: int = index,
            steps: int = stage.steps,
        ) -> None:
            if report is not None:
                report(
                    Progress(
                        stage=i + 1,
                        stages=len(preset.stages),
                        step=step,
                        steps=steps,
                        losses=losses[:wanted],
                        finished=finished,
                        images=lanes.num_images,
                        latents=latents,
                    )
                )

        previous, best, curve = solve_lanes(
            problem,
            weights,
            given,
            on_chunk,
            restarts=lanes.restarts_per_image,
            kept=None if kept is None else kept.stage(index),
        )
        named_masks = masks_after(
            problem, weights, preset, index + 1, (previous, lanes.images, named_masks)
        )
        reached.append(best)
        curves.append(curve)
    whole = {
        name: np.concatenate([c[name] for c in curves], axis=1) for name in (LOSS, *record_terms)
    }
    return choose_restarts(
        lanes,
        previous,
        reached,
        whole,
        keep_all_restarts=keep_all_restarts,
        rule=preset.restart_rule,
    )


def solve_lanes(
    problem: Problem,
    weights: NetworkParams,
    lanes: Lane,
    on_chunk: Callable[[int, np.ndarray, Callable[[], Latents]], None],
    *,
    restarts: int,
    kept: SearchCheckpoints | None,
) -> tuple[Latents, BestSoFar, dict[str, np.ndarray]]:
    """`solve`, also where the images of a batch share a variable: one lane is then all of them."""
    if slots_of(problem, len(lanes.restart)) < len(lanes.restart):
        return solve_in_slots(problem, weights, lanes, report=on_chunk, kept=kept)
    if not problem.stage.shared:
        return solve(problem, weights, lanes, report=on_chunk, kept=kept)
    count = len(lanes.restart) // restarts

    def repeated(value: Array | np.ndarray) -> np.ndarray:
        return np.tile(value, (count, *[1] * (np.ndim(value) - 1)))

    latents, best, curves = solve(
        problem,
        weights,
        group_lanes(lanes, count),
        report=lambda step, losses, latents: on_chunk(
            step, repeated(losses), lambda: ungroup(latents())
        ),
        kept=kept,
    )
    best = jax.tree.map(repeated, best._replace(codes={}))
    return ungroup(latents), best, {name: repeated(curve) for name, curve in curves.items()}


def initial_latents(bound: BoundProblem, lanes: Batch) -> Latents:
    """The latents before the first stage: those computed from the images, then those given."""
    gen, weights, preset = bound.gen, bound.weights, bound.preset
    found: Latents = {}
    if needs_learned_init(preset):
        pictures = as_pictures(preset, lanes)
        found |= learned_init(gen, weights.params, preset, weights.nets, pictures)
    if (encoder := bound.encoder) is not None:
        masked = sees_masks(encoder) and preset.operator is None
        pictures = mask_out(lanes.images, lanes.masks) if masked else as_pictures(preset, lanes)
        masks = lanes.masks if masked else None
        found |= start_codes(encoder, (gen, weights.params), pictures, masks)
    for init in (v.init for v in preset.stages[0].variables if v.init.kind == "layerwise"):
        found["z"] = layerwise_codes(gen, weights.params, init, (lanes.images, lanes.masks))
    if begins_at_encoder(preset.stages[0]):
        found = encoder_latents(weights, as_pictures(preset, lanes), found)
    return found | lanes.given


def begins_at_encoder(stage: Stage) -> bool:
    """Whether a code of the stage starts where the encoder among the nets sees it."""
    return any(variable.init.kind == ENCODER for variable in stage.variables)


@jax.jit
def encoder_latents(weights: NetworkParams, pictures: Array, held: Latents) -> Latents:
    """The latents that are held, with what the encoder sees in pictures [L, h, w, 3] as code."""
    net: Any = weights.nets[ENCODER]
    seen: dict[str, Any] = jax.vmap(net)(pictures)
    rest = {name: value for name, value in held.items() if name not in LATENT_SPACES}
    return rest | {name: code for name, code in seen.items() if name in LATENT_SPACES}


@jax.jit
def all_filled(images: Array, masks: Array) -> Array:
    """Images [L, h, w, c], what is hidden in the colours around it."""
    return jax.lax.map(lambda pair: fill_masked(*pair), (images, masks))


def as_pictures(preset: Preset, lanes: Batch) -> Array:
    """What was measured, as pictures [L, h, w, 3], what is hidden in the colours around it."""
    seen = lanes.images if lanes.masks is None else all_filled(lanes.images, lanes.masks)
    if preset.operator is None:
        return seen
    operator = build_operator(preset.operator, (lanes.size, lanes.size, 3))
    return jax.lax.map(lambda y: operator.show(y.reshape(operator.shape)), seen)
