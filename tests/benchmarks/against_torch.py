"""The rows that hold jaxinv against the same arithmetic in PyTorch."""

# torch is not among what the tests need.
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxinv.inversion import stages
from jaxinv.inversion.problem import NetworkParams
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import load_features
from jaxinv.models.zoo import is_present
from jaxinv.presets import PRESETS
from jaxinv.specs import SolverSpec, Stage, Term, Variable
from jaxinv.types import Array, Params
from tests import published
from tests.benchmarks import engine, peer
from tests.benchmarks.speed import Options
from tests.benchmarks.timing import CLOCKS, measure
from tests.tiny import mobile

SIDE, LANES, STEPS, RATE = 64, 8, 4, 0.02
TERMS = (Term("mse"), Term("lpips", net="vgg16"))
ADAM = Stage((Variable("w+"),), TERMS, 100, SolverSpec("adam", RATE))
# To the quality of PyTorch's Adam: a small net, pictures that it drew, both sides from the mean.
SMALL, BUDGET, RATES = 32, 200, (0.01, 0.03, 0.1)
USUAL = PRESETS["default"].stages[0].solver
OURS = Stage((Variable("w+", "whiten"),), TERMS, BUDGET, USUAL)
CLOSE, SLOPES = 1e-4, 1e-2  # of the range; of the length: where a ReLU turns, gradients jump


def stylegan2(side: int) -> tuple[Generator, Params]:
    """Random weights in the widths that are usual at that resolution."""
    return mobile(published.stylegan2("random", side, 4096 if side <= 64 else 8192))


def numbers(cell: str) -> tuple[int, int]:
    side, count = cell.split("x")
    return int(side), int(count)


def repetitions(side: int, count: int) -> int:
    """Evaluations per turn: enough that memory is asked for once, as in an inversion."""
    return min(6, max(1, round(4 * 64 * 64 * 8 / (side * side * count))))


@partial(jax.jit, static_argnums=(0, 4))
def evaluations(
    gen: Generator, params: Params, ws: Array, cotangent: Array, count: int
) -> tuple[Array, Array]:
    """Images and gradients of the last of `count` evaluations; each moves W+ a little."""

    def one(w: Array, g: Array) -> tuple[Array, Array]:
        image, pull = jax.vjp(lambda w: gen.synthesize(params, {"w+": w}), w)
        return image, pull(g)[0]

    def body(_: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        at = carry[0]
        images, gradients = jax.vmap(one)(at, cotangent)
        return at - 1e-12 * gradients, images, gradients

    empty = (ws, jnp.zeros_like(cotangent), jnp.zeros_like(ws))
    return jax.lax.fori_loop(0, count, body, empty)[1:]


def synthesis(options: Options) -> None:
    """Every cell: seconds per evaluation of a batch, and PyTorch's over ours."""
    for cell in options.cells:
        side, count = numbers(cell)
        gen, params = stylegan2(side)
        draws = np.random.default_rng(0)
        ws = draws.standard_normal((count, gen.spec.rows, gen.spec.w_dim), np.float32)
        g = draws.standard_normal((count, side, side, 3), np.float32)
        times = repetitions(side, count)
        ours = partial(evaluations, gen, params, jnp.asarray(ws), jnp.asarray(g), times)
        gate = partial(same, cell, [np.asarray(a) for a in ours()])
        nets = candidates(params, compiled=cell in options.compiled)
        sides = {name: partial(peer.evaluations, net, ws, g, times) for name, net in nets.items()}
        best = fastest(sides, gate, options.clock)
        turns = {"jaxinv": ours} | {name: sides[name] for name in best}
        found = measure(
            {name: always(fn) for name, fn in turns.items()}, options.repeats, options.clock
        )
        show(cell, {name: seconds / times for name, seconds in found.items()})


def always(work: Callable[[], Any]) -> Callable[[], Callable[[], Any]]:
    return lambda: work


def candidates(params: Params, *, compiled: bool) -> dict[str, torch.nn.Module]:
    nets = {f"torch {form}": peer.Synthesis(params, form) for form in peer.FORMS}
    if compiled:
        for name, net in list(nets.items()):
            nets[f"{name}, compiled"] = torch.compile(net, fullgraph=True, dynamic=False)
    return nets


def fastest(
    sides: Mapping[str, Callable[[], Any]], gate: Callable[..., None], clock: str
) -> list[str]:
    """The best eager side, and the best compiled one if any, by the better of two turns."""
    seconds: dict[str, float] = {}
    for name, work in sides.items():
        gate(name, work())  # compiles too
        spent = []
        for _ in range(2):
            began = CLOCKS[clock]()
            work()
            spent.append(CLOCKS[clock]() - began)
        seconds[name] = min(spent)
    kinds = ("compiled", "eager")
    best = {kinds["compiled" not in n]: n for n in sorted(seconds, key=seconds.__getitem__)[::-1]}
    return list(best.values())


def same(cell: str, ours: list[np.ndarray], name: str, theirs: list[np.ndarray]) -> None:
    """Refuse to time sides that do not draw the same; `ValueError` with both differences."""
    image = np.max(np.abs(ours[0] - theirs[0])) / np.ptp(ours[0])
    slope = np.linalg.norm(ours[1] - theirs[1]) / np.linalg.norm(ours[1])
    if not (image <= CLOSE and slope <= SLOPES):
        raise ValueError(f"{cell}, {name}: images differ by {image:.1e}, gradients by {slope:.1e}")


def adams(
    case: engine.Case, net: torch.nn.Module, clock: str, *, compiled: bool
) -> dict[str, Callable[..., np.ndarray]]:
    """PyTorch's fastest Adams, run(rate, steps, cosine=False) -> losses [steps, lanes].

    Of the forms whose losses after `STEPS` steps are those of the engine's `case`.
    """
    images = np.asarray(next(iter(case.lanes.target.values()))["pixels"])
    start = np.asarray(case.fresh()[0].u["w+"])
    (_, curves) = engine.chunk(case, STEPS)()()
    ours = np.asarray(curves[stages.LOSS])[:, STEPS - 1]

    def gate(name: str, theirs: np.ndarray) -> None:
        gap = np.max(np.abs(ours - theirs[-1]) / np.abs(ours))
        if not gap <= SLOPES:
            raise ValueError(f"{name}: losses after {STEPS} steps differ by {gap:.1e}")

    def run(draw: torch.nn.Module, rate: float, steps: int, *, cosine: bool = False) -> np.ndarray:
        return peer.Projector(draw, net, images, rate).run(start, steps, cosine=cosine)

    forms = candidates(case.weights.params, compiled=compiled)
    few = {name: partial(run, draw, RATE, STEPS) for name, draw in forms.items()}
    return {name: partial(run, forms[name]) for name in fastest(few, gate, clock)}


def projector(options: Options) -> None:
    """Images times steps per second, our engine with eight lanes together and one by one."""
    if not is_present("lpips"):
        print("   skipped: needs `jaxinv pull lpips`")
        return
    gen, params = stylegan2(SIDE)
    nets = load_features(("vgg16",))
    cases = {
        f"jaxinv, width {width}": engine.case(
            gen, NetworkParams(params, nets), ADAM, SIDE, LANES, width=width
        )
        for width in (LANES, 1)
    }
    net, compiled = peer.Perceptual(nets["vgg16"]), "64x8" in options.compiled
    theirs = adams(next(iter(cases.values())), net, options.clock, compiled=compiled)
    turns = {name: engine.chunk(case, STEPS) for name, case in cases.items()}
    turns |= {name: always(partial(run, RATE, STEPS)) for name, run in theirs.items()}
    found = measure(turns, options.repeats, options.clock)
    for name, seconds in found.items():
        print(f"   {name}: {LANES * STEPS / seconds:.2f} image-steps/s")
    show("projector", {name: seconds / STEPS for name, seconds in found.items()})


def quality(options: Options) -> None:
    """Seconds until our search has the loss that the best Adam in PyTorch has at its end."""
    if not is_present("lpips"):
        print("   skipped: needs `jaxinv pull lpips`")
        return
    gen, params = stylegan2(SMALL)
    nets, clock = load_features(("vgg16",)), CLOCKS[options.clock]
    weights = NetworkParams(params, nets)
    one, plain = (
        engine.case(gen, weights, stage, SMALL, LANES, width=LANES) for stage in (OURS, ADAM)
    )
    net = peer.Perceptual(nets["vgg16"])
    ((form, run),) = adams(plain, net, options.clock, compiled=False).items()

    def spent(rate: float) -> tuple[float, np.ndarray]:
        began = clock()
        curve = run(rate, BUDGET, cosine=True)
        return clock() - began, curve.min(0)

    tried = {rate: spent(rate) for rate in RATES}
    rate = min(tried, key=lambda rate: np.mean(tried[rate][1]))
    theirs, goal = tried[rate]
    engine.chunk(one, 1)()()  # compiles
    state, ours, curves = one.fresh(), 0.0, np.zeros((LANES, 0))
    while curves.shape[1] < BUDGET and not (curves <= goal[:, None]).any(1).all():
        first = curves.shape[1]
        span, began = jnp.asarray([first, first + stages.CHUNK, BUDGET]), clock()
        state, found = stages.run_chunk(*one, state, span)
        curves = np.append(curves, np.asarray(found[stages.LOSS]), axis=1)
        ours += clock() - began
    print(
        f"   PyTorch: {form}, rate {rate}, {BUDGET} steps, loss {goal.mean():.2e}, {theirs:.1f} s"
    )
    there = (curves <= goal[:, None]).any(1)
    needed = 1 + np.argmax(curves <= goal[:, None], axis=1)[there]
    each = ours / curves.shape[1]
    for which, count in (
        (("half", np.median(needed)), ("all", np.max(needed))) if there.any() else ()
    ):
        print(f"   ours, {which} of the {len(needed)} of {LANES} that get there: ", end="")
        print(f"{count:.0f} evaluations, {count * each:.1f} s, ratio {theirs / (count * each):.2f}")


def show(cell: str, seconds: dict[str, float]) -> None:
    """One line: seconds of every side, and the best of PyTorch over the best of ours."""
    kinds = {"torch": np.inf, "jaxinv": np.inf}
    for name, value in seconds.items():
        kind = name.replace(",", " ").split()[0]
        kinds[kind] = min(kinds[kind], value)
    sides = ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in seconds.items())
    print(f"   {cell}: {sides}; ratio {kinds['torch'] / kinds['jaxinv']:.2f}", flush=True)
