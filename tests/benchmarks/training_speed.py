"""Training an encoder against PyTorch with the same layers: pictures a second, in turns.

A narrow ResNet-18 that learns the codes and the pixels of pictures that a StyleGAN2 of 64 px draws.
PyTorch is handed the codes of the pictures; drawing them, the encoder, its picture, the gradient,
Adam and the average of the weights are on both sides.
"""

# torch is not among what the tests need.
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jaxinv.encoders.lessons import prepare
from jaxinv.encoders.objective import show
from jaxinv.encoders.training import encoder_job
from jaxinv.presets import ENCODERS
from jaxinv.specs import PictureSource, SolverSpec, Term
from jaxinv.training.data import Synthetic, batches
from tests.benchmarks import peer
from tests.benchmarks.against_torch import SIDE, always, stylegan2
from tests.benchmarks.against_torch import show as say
from tests.benchmarks.peer import LAST, convolution, tensor
from tests.benchmarks.speed import Options
from tests.benchmarks.timing import measure

BATCH, STEPS, RATE, AVERAGE = 8, 2, 1e-3, 0.99
CLOSE = 1e-3  # relative difference of the losses of the first steps
PRESET = replace(
    ENCODERS["encoder"],
    terms=(Term("latent", 1.0, variable="w+"), Term("mse", 1.0)),
    source=PictureSource("synthetic"),
    solver=SolverSpec("adam", RATE),
    batch=BATCH,
    average=AVERAGE,
)


class Norm(nn.Module):
    """Batch normalisation with the constants of a tree."""

    def __init__(self, tree: dict[str, Any]) -> None:
        super().__init__()
        self.scale = nn.Parameter(tensor(tree["scale"]))
        self.bias = nn.Parameter(tensor(tree["bias"]))
        self.register_buffer("mean", torch.zeros_like(self.scale))
        self.register_buffer("variance", torch.ones_like(self.scale))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.variance, self.scale, self.bias, training=True)


class Conv(nn.Module):
    """Convolution without a bias, padded by half of its kernel."""

    def __init__(self, tree: dict[str, Any], stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = nn.Parameter(convolution(tree["kernel"])), stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, stride=self.stride, padding=self.kernel.shape[-1] // 2)


class Unit(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, tree: dict[str, Any], name: str, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv(tree[f"{name}.conv1"], stride), Norm(tree[f"{name}.bn1"])
        self.conv2, self.norm2 = Conv(tree[f"{name}.conv2"], 1), Norm(tree[f"{name}.bn2"])
        self.short: nn.Module = nn.Identity()
        if f"{name}.downsample.0" in tree:
            shorter = Conv(tree[f"{name}.downsample.0"], stride)
            self.short = nn.Sequential(shorter, Norm(tree[f"{name}.downsample.1"]))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.short(x) + self.norm2(self.conv2(y)))


class Encoder(nn.Module):
    """Pictures [n, 3, side, side] -> W+ [n, rows, w_dim], of the arrays of ours."""

    def __init__(self, tree: dict[str, Any], mean: np.ndarray) -> None:
        super().__init__()
        self.stem, self.norm = Conv(tree["conv1"], 2), Norm(tree["bn1"])
        self.slope = nn.Parameter(tensor(tree["relu"]["slope"]))
        count = len({name.split(".")[1] for name in tree if name.startswith("body.")})
        strides = [2 if number and number % 2 == 0 else 1 for number in range(count)]
        units = [Unit(tree, f"body.{n}", stride) for n, stride in enumerate(strides)]
        self.body = nn.Sequential(*units)
        self.kernel = nn.Parameter(tensor(tree["linear"]["kernel"]))
        self.bias = nn.Parameter(tensor(tree["linear"]["bias"]))
        self.register_buffer("mean", tensor(mean))

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(F.prelu(self.norm(self.stem(x)), self.slope))
        code = x.mean((2, 3)) @ self.kernel * self.kernel.shape[0] ** -0.5 + self.bias
        return self.mean + code.view(-1, *self.mean.shape)


class Trainer:
    """Steps of PyTorch from the arrays of ours, on the codes of the same pictures."""

    def __init__(self, draw: nn.Module, encoder: nn.Module, codes: list[np.ndarray]) -> None:
        self.draw, self.codes = draw, [tensor(one) for one in codes]
        self.encoder, self.done = encoder, 0
        weights = list(encoder.parameters())
        self.adam = torch.optim.Adam(weights, lr=RATE, fused=True)
        self.average = [one.detach().clone() for one in weights]

    def losses(self, known: Tensor) -> Tensor:
        with torch.no_grad():
            target = self.draw(known).contiguous(memory_format=LAST)
        code = self.encoder(target)
        apart = (code - known).square().mean()
        return apart + (self.draw(code) - target).square().mean()

    def run(self, steps: int) -> list[float]:
        """Losses of so many steps more."""
        found = []
        for _ in range(steps):
            self.adam.zero_grad(set_to_none=True)
            loss = self.losses(self.codes[self.done % len(self.codes)])
            loss.backward()
            self.adam.step()
            with torch.no_grad():
                torch._foreach_lerp_(self.average, list(self.encoder.parameters()), 1 - AVERAGE)
            found.append(loss.detach())
            self.done += 1
        return [float(one) for one in found]


class Ours:
    """Steps of the library's job."""

    def __init__(self) -> None:
        gen, params = stylegan2(SIDE)
        self.lesson, self.given = prepare(gen, params, PRESET, nets={})
        self.job = encoder_job(self.lesson, self.given, 10_000, [])
        self.batches = batches(Synthetic(0), BATCH, seed=0)
        self.state = self.start = self.job.init(jax.random.key(0))
        self.done = 0

    def run(self, steps: int) -> list[float]:
        """Losses of so many steps more."""
        found = []
        for _ in range(steps):
            batch, key = self.batches[self.done], jax.random.key(self.done)
            self.state, metrics = self.job.step(self.state, batch, key, self.done)
            found.append(metrics["loss"])
            self.done += 1
        return [float(one) for one in found]

    def codes(self, count: int) -> list[np.ndarray]:
        """The codes of the first batches."""
        look = jax.jit(partial(show, self.lesson))
        return [
            np.asarray(look(self.given, self.batches[i], jax.random.key(0)).known["w+"])
            for i in range(count)
        ]


def training(options: Options) -> None:
    """Pictures a second of ours, of PyTorch and of PyTorch compiled, and the ratios."""
    ours = Ours()
    codes, params = ours.codes(4), ours.given.generator
    tree = jax.device_get(ours.start["solver"].u)
    mean = np.asarray(ours.given.encoder["average"])
    losses = ours.run(STEPS)
    runs: dict[str, Callable[[int], list[float]]] = {"jaxinv": ours.run}
    for form in peer.FORMS:
        runs[f"torch {form}"] = Trainer(
            peer.Synthesis(params, form), Encoder(tree, mean), codes
        ).run
    if f"{SIDE}x{BATCH}" in options.compiled:
        pair = peer.Synthesis(params, peer.FORMS[0]), Encoder(tree, mean)
        draw, look = (torch.compile(one, fullgraph=True, dynamic=False) for one in pair)
        runs["torch, compiled"] = Trainer(draw, look, codes).run
    for name, run in runs.items():
        theirs = losses if name == "jaxinv" else run(STEPS)
        gap = np.max(np.abs(np.subtract(theirs, losses)) / np.abs(losses))
        if gap > CLOSE:
            raise ValueError(f"{name}: losses of the first steps differ by {gap:.1e}: {theirs}")
    found = measure(
        {name: always(partial(run, STEPS)) for name, run in runs.items()},
        options.repeats,
        options.clock,
    )
    for name, seconds in found.items():
        print(f"   {name}: {BATCH * STEPS / seconds:.1f} pictures/s")
    eager = {n: s / STEPS for n, s in found.items() if n != "torch, compiled"}
    say("against eager", eager)
    if "torch, compiled" in found:
        say("against compiled", {n: found[n] / STEPS for n in ("jaxinv", "torch, compiled")})
