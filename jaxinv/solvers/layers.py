"""Generators of dense layers, inverted one layer at a time, from the image back to the code.

What a ReLU let through tells the value before it, what it cut off tells that the value was not
above 0: the input of every layer is found from its output alone, without a gradient through the
whole. For a noise-free generator whose Gaussian layers expand enough the answer is exact.

All of this is on the host, in float64. Images are independent: one that cannot be solved costs
nobody else anything.

Sources: Lei, Jalal, Dhillon & Dimakis 2019, "Inverting deep generative models, one layer at a
time" (linear programs); Aberdam, Simon & Elad 2020, "When and how can deep generative models be
inverted?" (pursuits).
"""

# scipy annotates its arguments only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import linprog, nnls

from jaxinv.checks import check_above, check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

GROWTH = 1.2  # of the tolerance, until a program is feasible
MOST = 64  # times that it may grow
EDGE = 1e-9  # how close to its bounds an output of tanh or sigmoid may come
PRUNED = 1e-4  # part of the largest entry below which an entry is none
CUT, OUTSIDE = "relu", {"none": (-np.inf, np.inf), "tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


class Layer(NamedTuple):
    """y = squash(f(matrix @ x + bias)), f(v) = v where v > 0 and slope x v elsewhere.

    matrix [out, in]; slope 0 is a ReLU, 1 is no activation; `squash` is "none", "tanh" or
    "sigmoid", and belongs to a slope of 1.
    """

    matrix: Numbers
    bias: Numbers
    slope: float = 0.0
    squash: str = "none"


class Options(NamedTuple):
    """What the methods take.

    tolerance: an output above it was let through by a ReLU, and a linear program may miss outputs
    by as much; it grows until there is a solution. sparsity: weight of the l1 norm of "ista", in
    units of the largest correlation; iterations: of "ista".
    """

    tolerance: float = 1e-7
    sparsity: float = 1e-3
    iterations: int = 2000


class Recovered(NamedTuple):
    """Codes [n, k], the largest error of every image [n], and a status for every image.

    "ok"; "failed" where a layer had no solution: the code is NaN there.
    """

    codes: Numbers
    errors: Numbers
    status: tuple[str, ...]


class Known(NamedTuple):
    """What the output of a layer says of v = matrix @ x: v[rows] = values, v[others] <= bounds.

    `scales` [rows] are the errors of values where those of outputs are 1; x >= 0 where `positive`.
    """

    matrix: Numbers
    rows: Any
    values: Numbers
    scales: Numbers
    others: Any
    bounds: Numbers
    positive: bool


DEFAULTS = Options()


def run_layers(layers: Sequence[Layer], codes: Numbers) -> Numbers:
    """Outputs [n, m] of codes [n, k]."""
    x = codes
    for layer in layers:
        v = x @ layer.matrix.T + layer.bias
        v = np.where(v > 0, v, layer.slope * v)
        x = {"none": v, "tanh": np.tanh(v), "sigmoid": 1 / (1 + np.exp(-v))}[layer.squash]
    return x


def invert_layers(
    layers: Sequence[Layer],
    outputs: Numbers,
    method: str = "lp",
    rows: Any = None,
    options: Options = DEFAULTS,
) -> Recovered:
    """Codes whose outputs are `outputs` [n, m], layer by layer from the last to the first.

    "lp": the linear program of the smallest largest error (Lei et al. 2019, section 4, l-infinity);
    "lp-relaxed": of the smallest sum of errors below, none above the tolerance (l1); "nnls": least
    squares on the outputs that were let through, with inputs that are not negative; "ista": the
    same with a penalty on their l1 norm, pruned to the support that it leaves and solved again
    there (Aberdam et al. 2020). `rows`: indices of the outputs that were observed (m of them),
    where that is not all. Raises `ValueError` for what is not a chain of layers.
    """
    check_choice("method", method, tuple(METHODS))
    check_above("tolerance", options.tolerance, 0.0)
    check_above("sparsity", options.sparsity, 0.0)
    check_whole("iterations", options.iterations, 1)
    chain = _observed(layers, rows)
    outputs = np.asarray(outputs, np.float64)
    if outputs.ndim != 2 or outputs.shape[1] != len(chain[-1].bias):
        raise ValueError(f"outputs {outputs.shape}; allowed: (n, {len(chain[-1].bias)})")
    codes = np.full((len(outputs), chain[0].matrix.shape[1]), np.nan)
    for index, output in enumerate(outputs):
        found = _invert_one(chain, output, METHODS[method], options)
        codes[index] = np.nan if found is None else found
    errors = np.max(np.abs(run_layers(chain, codes) - outputs), axis=1)
    return Recovered(codes, errors, tuple("ok" if np.isfinite(e) else "failed" for e in errors))


def _observed(layers: Sequence[Layer], rows: Any) -> list[Layer]:
    """The chain as far as it was observed; `ValueError` for one that does not hang together."""
    if not layers:
        raise ValueError("no layers; allowed: at least 1")
    chain = [
        layer._replace(matrix=np.asarray(layer.matrix, float), bias=np.asarray(layer.bias, float))
        for layer in layers
    ]
    for number, layer in enumerate(chain):
        check_choice(f"squash of layer {number}", layer.squash, tuple(OUTSIDE))
        if not 0 <= layer.slope <= 1 or (layer.squash != "none" and layer.slope != 1):
            raise ValueError(
                f"layer {number} has slope {layer.slope} and squash {layer.squash!r}; "
                f"allowed: 0 to 1, and 1 with tanh or sigmoid"
            )
        if layer.matrix.ndim != 2 or layer.bias.shape != layer.matrix.shape[:1]:
            raise ValueError(
                f"layer {number} has matrix {layer.matrix.shape} and bias {layer.bias.shape}; "
                f"allowed: (out, in) and (out,)"
            )
        if number and layer.matrix.shape[1] != len(chain[number - 1].bias):
            raise ValueError(
                f"layer {number} takes {layer.matrix.shape[1]} inputs; "
                f"allowed: {len(chain[number - 1].bias)}, the outputs of the one before"
            )
    if rows is not None:
        last = chain[-1]
        chain[-1] = last._replace(matrix=last.matrix[rows], bias=last.bias[rows])
    return chain


def _invert_one(
    chain: list[Layer], output: Numbers, solve: Callable[..., Any], options: Options
) -> Numbers | None:
    """The code of one output [m], or None where a layer has no solution."""
    x: Any = output
    for number in reversed(range(len(chain))):
        layer = chain[number]
        if not np.all(np.isfinite(x)):
            return None
        positive = number > 0 and chain[number - 1].slope == 0
        x = solve(layer, x, positive, options)
        if x is None:
            return None
    return x


def read(layer: Layer, output: Numbers, tolerance: float, positive: bool) -> Known:
    """What an output [m] of a layer says of the values before its activation."""
    low, high = OUTSIDE[layer.squash]
    y = np.clip(output, low + EDGE, high - EDGE)
    v = {"none": y, "tanh": np.arctanh(y), "sigmoid": np.log(y) - np.log1p(-y)}.get(
        layer.squash, y
    )
    passed = v > (tolerance if layer.slope == 0 else 0.0)
    if layer.slope == 0:
        cut = ~passed
        bounds = np.maximum(v[cut], 0.0) - layer.bias[cut]
        values, scales = v[passed], np.ones(int(passed.sum()))
        return Known(
            layer.matrix, passed, values - layer.bias[passed], scales, cut, bounds, positive
        )
    scales = np.where(passed, 1.0, 1 / layer.slope)
    everywhere, nowhere = np.ones(len(v), bool), np.zeros(len(v), bool)
    return Known(
        layer.matrix, everywhere, v * scales - layer.bias, scales, nowhere, np.zeros(0), positive
    )


# --- linear programs ------------------------------------------------------------------------------


def _smallest(feasible: Callable[[float], Any], tolerance: float) -> Any:
    """The solution at the smallest tolerance x 1.2^k that has one, found by bisection over k."""
    found = feasible(tolerance)
    if found is not None:
        return found
    low, high = 0, MOST * 2
    best = feasible(tolerance * GROWTH**high)
    if best is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        found = feasible(tolerance * GROWTH**middle)
        low, high, best = (middle, high, best) if found is None else (low, middle, found)
    return best


def largest_error(
    layer: Layer, output: Numbers, positive: bool, options: Options
) -> Numbers | None:
    """Input [k] of the smallest largest error, within the smallest tolerance that allows one."""

    def attempt(tolerance: float) -> Numbers | None:
        known = read(layer, output, tolerance, positive)
        held, other = known.matrix[known.rows], known.matrix[known.others]
        ones = np.ones((len(other), 1))
        left = np.block(
            [[held, -known.scales[:, None]], [-held, -known.scales[:, None]], [other, -ones]]
        )
        right = np.concatenate([known.values, -known.values, known.bounds])
        cost = np.append(np.zeros(held.shape[1]), 1.0)
        sign = (0.0 if positive else None, None)
        bounds = [*[sign] * held.shape[1], (0.0, tolerance)]
        found = linprog(cost, left, right, bounds=bounds, method="highs")
        return found.x[:-1] if found.status == 0 else None

    return _smallest(attempt, options.tolerance)


def sum_of_errors(
    layer: Layer, output: Numbers, positive: bool, options: Options
) -> Numbers | None:
    """Input [k] whose outputs come closest from below in sum, and exceed none but by a tolerance.

    That is the smallest tolerance that allows an input.
    """

    def attempt(tolerance: float) -> Numbers | None:
        known = read(layer, output, tolerance, positive)
        held, other = known.matrix[known.rows], known.matrix[known.others]
        above = known.values + tolerance * known.scales
        found = linprog(
            -np.sum(held / known.scales[:, None], axis=0),
            np.concatenate([held, other]),
            np.concatenate([above, known.bounds + tolerance]),
            bounds=(0.0 if positive else None, None),
            method="highs",
        )
        return found.x if found.status == 0 else None

    return _smallest(attempt, options.tolerance)


# --- pursuits -------------------------------------------------------------------------------------


def _scaled(known: Known) -> tuple[Numbers, Numbers]:
    """Rows and values whose errors are those of outputs."""
    return known.matrix[known.rows] / known.scales[:, None], known.values / known.scales


def least_squares(
    layer: Layer, output: Numbers, positive: bool, options: Options
) -> Numbers | None:
    """Input [k] of the smallest squared error of the outputs that were let through."""
    matrix, values = _scaled(read(layer, output, options.tolerance, positive))
    if not positive:
        return np.linalg.lstsq(matrix, values)[0]
    try:
        return nnls(matrix, values)[0]
    except RuntimeError:  # too many iterations
        return None


def sparse_code(layer: Layer, output: Numbers, positive: bool, options: Options) -> Numbers | None:
    """Input [k] by FISTA (Beck & Teboulle 2009), then least squares on the support it leaves.

    Inputs that no ReLU made are not sparse: they are solved by least squares alone.
    """
    if not positive:
        return least_squares(layer, output, positive, options)
    matrix, values = _scaled(read(layer, output, options.tolerance, positive))
    if not len(matrix):
        return np.zeros(matrix.shape[1])
    back = matrix.T @ values
    rate = 1 / max(np.linalg.norm(matrix, 2) ** 2, 1e-30)
    threshold = rate * options.sparsity * np.max(np.abs(back))
    square = matrix.T @ matrix
    x = ahead = np.zeros(matrix.shape[1])
    momentum = 1.0
    for _ in range(options.iterations):
        moved = np.maximum(ahead - rate * (square @ ahead - back) - threshold, 0.0)
        onward = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / onward * (moved - x)
        x, momentum = moved, onward
    support = x > PRUNED * np.max(x)
    refined = np.zeros_like(x)
    refined[support] = np.maximum(np.linalg.lstsq(matrix[:, support], values)[0], 0.0)
    return refined


METHODS: dict[str, Callable[..., Any]] = {
    "lp": largest_error,
    "lp-relaxed": sum_of_errors,
    "nnls": least_squares,
    "ista": sparse_code,
}
