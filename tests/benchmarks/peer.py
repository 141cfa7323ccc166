"""The same arithmetic in PyTorch: StyleGAN2's synthesis, VGG-16 with LPIPS heads, and Adam.

Written from the algebra, as fast as we know how to make it there: the style scales the input and
the demodulation the output of one convolution that all samples share, constants are folded when the
weights are read, arrays are channels-last, and the filter is the better of two forms.
"""

# torch is not among what the tests need.
# pyright: reportMissingImports=false

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FORMS = ("shifts", "depthwise")
EPSILON = 1e-8
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of LPIPS
LAST = torch.channels_last


def tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def convolution(kernel: Any) -> Tensor:
    """[h, w, in, out] -> [out, in, h, w], channels last."""
    return tensor(kernel).permute(3, 2, 0, 1).contiguous(memory_format=LAST)


def fir(x: Tensor, form: str) -> Tensor:
    """The filter [1, 3, 3, 1] / 4 along both axes with one zero around: two pixels fewer, not one.

    [n, c, 2h + 1, 2w + 1] -> [n, c, 2h, 2w].
    """
    if form == "depthwise":
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        channels = x.shape[1]
        kernel = (taps[:, None] * taps).expand(channels, 1, 4, 4)
        return F.conv2d(x, kernel, padding=1, groups=channels)
    x = F.pad(x, (1, 1, 1, 1))
    for axis in (2, 3):
        a, b, c, d = (x.narrow(axis, k, x.shape[axis] - 3) for k in range(4))
        x = torch.add(0.25 * (a + d), b + c, alpha=0.75)
    return x


def double(x: Tensor) -> Tensor:
    """[n, c, h, w] -> [n, c, 2h, 2w]: 3/4 of the nearer and 1/4 of the farther pixel."""
    for axis in (2, 3):
        pads = (0, 0, 1, 1) if axis == 2 else (1, 1)
        near, count = 0.75 * x, x.shape[axis]
        wide = F.pad(0.25 * x, pads)
        pair = [near + wide.narrow(axis, k, count) for k in (0, 2)]
        x = torch.stack(pair, axis + 1).flatten(axis, axis + 1)
    return x


class Modulation(nn.Module):
    """w [n, w_dim] -> a style [n, channels]."""

    def __init__(self, tree: dict[str, Any]) -> None:
        super().__init__()
        self.register_buffer("matrix", tensor(tree["kernel"]))
        self.register_buffer("bias", tensor(tree["bias"]))

    def forward(self, w: Tensor) -> Tensor:
        return torch.addmm(self.bias, w, self.matrix)


class Layer(nn.Module):
    """Convolution, noise, bias, leaky ReLU, with the gain sqrt(2) folded into the constants."""

    def __init__(self, tree: dict[str, Any], up: bool, form: str) -> None:
        super().__init__()
        self.up, self.form = up, form
        self.style = Modulation(tree["style"])
        kernel, gain = tensor(tree["kernel"]), math.sqrt(2)
        energy = kernel.square().sum((0, 1))
        # Of a transposed convolution: [in, out, h, w], turned round.
        kernel = kernel.flip(0, 1).permute(2, 3, 0, 1) if up else kernel.permute(3, 2, 0, 1)
        added = tensor(tree["strength"]) * tensor(tree["noise"])[..., None] + tensor(tree["bias"])
        self.register_buffer("kernel", (gain * kernel).contiguous(memory_format=LAST))
        self.register_buffer("energy", energy)
        added = (gain * added).permute(2, 0, 1)[None]
        self.register_buffer("added", added.contiguous(memory_format=LAST))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.style(w)
        scale = torch.rsqrt(style.square() @ self.energy + EPSILON)[..., None, None]
        x = x * style[..., None, None]
        if self.up:
            y = fir(F.conv_transpose2d(x, self.kernel, stride=2), self.form)
        else:
            y = F.conv2d(x, self.kernel, padding=1)
        return F.leaky_relu(torch.addcmul(self.added, y, scale), 0.2)


class Image(nn.Module):
    """Pointwise layer to an image, without demodulation."""

    def __init__(self, tree: dict[str, Any]) -> None:
        super().__init__()
        self.style = Modulation(tree["style"])
        self.register_buffer("weight", tensor(tree["weight"]))
        self.register_buffer("bias", tensor(tree["bias"]))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        count, channels, *sides = x.shape
        weight = self.style(w)[..., None] * self.weight
        rows = x.permute(0, 2, 3, 1).reshape(count, -1, channels)
        y = torch.baddbmm(self.bias, rows, weight)
        return y.view(count, *sides, 3).permute(0, 3, 1, 2)


class Synthesis(nn.Module):
    """W+ [n, rows, w_dim] -> images [n, 3, side, side]; `params` are jaxinv's of a StyleGAN2."""

    def __init__(self, params: dict[str, Any], form: str) -> None:
        super().__init__()
        tree = params["synthesis"]
        self.register_buffer("const", tensor(tree["const"]).permute(2, 0, 1)[None])
        sides = sorted(int(name[1:-6]) for name in tree if name.endswith("_torgb"))
        names = [f"b{side}_conv{k}" for side in sides for k in (0, 1)][1:]
        self.layers = nn.ModuleList(Layer(tree[name], name.endswith("0"), form) for name in names)
        self.images = nn.ModuleList(Image(tree[f"b{side}_torgb"]) for side in sides)

    def forward(self, ws: Tensor) -> Tensor:
        x = self.const.expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=LAST)
        image: Tensor | None = None
        for number, layer in enumerate(self.layers):
            x = layer(x, ws[:, number])
            if number % 2 == 0:
                own = self.images[number // 2](x, ws[:, number + 1])
                image = own if image is None else double(image) + own
        return image


class Perceptual(nn.Module):
    """VGG-16 and the linear heads of LPIPS: images [n, 3, h, w] -> five normalised taps."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        blocks = ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))
        self.names = [[f"conv{block}_{k + 1}" for k in range(count)] for block, count in blocks]
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        for name in (name for block in self.names for name in block):
            self.register_buffer(name, convolution(params[name]["kernel"]))
            self.register_buffer(name + "_bias", tensor(params[name]["bias"]))
        for index in range(len(blocks)):
            self.register_buffer(f"lin{index}", tensor(params[f"lin{index}"])[:, None, None])

    def forward(self, image: Tensor) -> list[Tensor]:
        x, taps = (image - self.shift) / self.scale, []
        for number, block in enumerate(self.names):
            x = F.max_pool2d(x, 2) if number else x
            for name in block:
                kernel, bias = getattr(self, name), getattr(self, name + "_bias")
                x = F.relu(F.conv2d(x, kernel, bias, padding=1), inplace=True)
            taps.append(x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-20))
        return taps

    def distance(self, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
        """[n]: squared differences, weighted by the heads, averaged over pixels, summed."""
        parts = [
            ((a - b).square() * getattr(self, f"lin{index}")).sum(1).mean((1, 2))
            for index, (a, b) in enumerate(zip(ours, theirs, strict=True))
        ]
        return torch.stack(parts).sum(0)


class Target(NamedTuple):
    """Images [n, 3, h, w] and what the net sees of them."""

    image: Tensor
    taps: list[Tensor]


class Projector:
    """Adam on W+: mean squared error of pixels plus LPIPS, for a batch of images at once."""

    def __init__(self, draw: nn.Module, net: Perceptual, images: np.ndarray, rate: float) -> None:
        self.draw, self.net, self.rate = draw, net, rate
        image = tensor(images).permute(0, 3, 1, 2).contiguous(memory_format=LAST)
        with torch.no_grad():
            self.target = Target(image, net(image))

    def losses(self, ws: Tensor) -> Tensor:
        """[n]."""
        image = self.draw(ws)
        pixels = (image - self.target.image).square().mean((1, 2, 3))
        return pixels + self.net.distance(self.net(image), self.target.taps)

    def run(self, start: np.ndarray, steps: int, *, cosine: bool = False) -> np.ndarray:
        """Losses [steps, n] from W+ [n, rows, w_dim]; the rate may fall to 0 as a cosine."""
        ws, curve = tensor(start).requires_grad_(), []
        adam = torch.optim.Adam([ws], lr=self.rate, fused=True)
        for step in range(steps):
            if cosine:
                adam.param_groups[0]["lr"] = self.rate * (1 + math.cos(math.pi * step / steps)) / 2
            adam.zero_grad(set_to_none=True)
            losses = self.losses(ws)
            losses.sum().backward()
            adam.step()
            curve.append(losses.detach())
        return torch.stack(curve).numpy()


def evaluations(draw: nn.Module, ws: np.ndarray, cotangent: np.ndarray, count: int) -> Any:
    """Image and gradient by W+ of the last of `count` evaluations; each moves W+ a little."""
    g = tensor(cotangent).permute(0, 3, 1, 2).contiguous(memory_format=LAST)
    at = tensor(ws)
    for _ in range(count):
        at.requires_grad_()
        image = draw(at)
        (gradient,) = torch.autograd.grad(image, at, g)
        at = at.detach() - 1e-12 * gradient
    return image.detach().permute(0, 2, 3, 1).numpy(), gradient.numpy()
