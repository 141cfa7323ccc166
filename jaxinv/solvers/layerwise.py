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

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import linprog, nnls

from jaxinv.specs.checks import check_above, check_choice, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

GROWTH = 1.2  # of the tolerance, until a program is feasible
MOST = 128  # times that it may grow
EDGE = 1e-9  # how close to its bounds an output of tanh or sigmoid may come
PRUNED = 1e-4  # part of the largest entry below which an entry is none
OUTSIDE = {"none": (-np.inf, np.inf), "tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


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
    sparsity: float = 1e-4
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

    `scales` [rows] are the errors of values where those of outputs are 1.
    """

    matrix: Numbers
    rows: Any
    values: Numbers
    scales: Numbers
    others: Any
    bounds: Numbers


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


def read(layer: Layer, output: Numbers, tolerance: float) -> Known:
    """What an output [m] of a layer says of the values before its activation."""
    v, scales = _unsquashed(layer.squash, output)
    passed = v > (tolerance if layer.slope == 0 else 0.0)
    if layer.slope > 0:
        scales = np.where(passed, scales, scales / layer.slope)
        values = np.where(passed, v, v / layer.slope) - layer.bias
        whole, none = np.ones(len(v), bool), np.zeros(len(v), bool)
        return Known(layer.matrix, whole, values, scales, none, np.zeros(0))
    cut = ~passed
    bounds = np.maximum(v[cut], 0.0) - layer.bias[cut]
    return Known(layer.matrix, passed, v[passed] - layer.bias[passed], scales[passed], cut, bounds)


def _unsquashed(squash: str, output: Numbers) -> tuple[Numbers, Numbers]:
    """The value before tanh or sigmoid, and its error where that of the output is 1."""
    if squash == "none":
        return output, np.ones(len(output))
    low, high = OUTSIDE[squash]
    y = np.clip(output, low + EDGE, high - EDGE)
    v = np.arctanh(y) if squash == "tanh" else np.log(y) - np.log1p(-y)
    return v, 1 / ((y - low) * (high - y))


# --- tolerances -----------------------------------------------------------------------------------


def _smallest(attempt: Callable[[float], tuple[Any, float]], tolerance: float) -> Any:
    """The solution at the smallest tolerance x 1.2^k that is enough, or None.

    attempt(tolerance) -> (solution, tolerance that it needs): found by bisection over k, since
    whatever is enough stays so when it grows. A larger tolerance counts fewer outputs as let
    through: those that are noise and no more.
    """
    found, needed = attempt(tolerance)
    if needed <= tolerance:
        return found
    low, high = 0, 16
    if np.isfinite(needed):
        high = min(math.ceil(math.log(needed / tolerance, GROWTH)), MOST)
    best, needed = attempt(tolerance * GROWTH**high)
    while needed > tolerance * GROWTH**high:
        if high == MOST:
            return None
        low, high = high, min(2 * high, MOST)
        best, needed = attempt(tolerance * GROWTH**high)
    while high - low > 1:
        middle = (low + high) // 2
        found, needed = attempt(tolerance * GROWTH**middle)
        if needed <= tolerance * GROWTH**middle:
            high, best = middle, found
        else:
            low = middle
    return best


# --- linear programs ------------------------------------------------------------------------------


def largest_error(layer: Layer, output: Numbers, positive: bool, options: Options) -> Any:
    """Input [k] of the smallest largest error, within the smallest tolerance that allows one."""

    def attempt(tolerance: float) -> tuple[Any, float]:
        known = read(layer, output, tolerance)
        held, other = known.matrix[known.rows], known.matrix[known.others]
        error = -known.scales[:, None]
        left = np.block([[held, error], [-held, error], [other, -np.ones((len(other), 1))]])
        right = np.concatenate([known.values, -known.values, known.bounds])
        cost = np.append(np.zeros(held.shape[1]), 1.0)
        bounds = [*[(0.0 if positive else None, None)] * held.shape[1], (0.0, None)]
        found = linprog(cost, left, right, bounds=bounds, method="highs")
        return (found.x[:-1], found.x[-1]) if found.status == 0 else (None, np.inf)

    return _smallest(attempt, options.tolerance)


def sum_of_errors(layer: Layer, output: Numbers, positive: bool, options: Options) -> Any:
    """Input [k] whose outputs come closest from below in sum, and exceed none but by a tolerance.

    It is the smallest that the mean error keeps, too.
    """

    def attempt(tolerance: float) -> tuple[Any, float]:
        known = read(layer, output, tolerance)
        held, values = _scaled(known)
        above = np.concatenate([known.values + tolerance * known.scales, known.bounds + tolerance])
        found = linprog(
            -np.sum(held, axis=0),
            np.concatenate([known.matrix[known.rows], known.matrix[known.others]]),
            above,
            bounds=(0.0 if positive else None, None),
            method="highs",
        )
        if found.status != 0:
            return None, np.inf
        return found.x, _mean(np.maximum(values - held @ found.x, 0.0))

    return _smallest(attempt, options.tolerance)


def _scaled(known: Known) -> tuple[Numbers, Numbers]:
    """Rows and values whose errors are those of outputs."""
    return known.matrix[known.rows] / known.scales[:, None], known.values / known.scales


def _mean(errors: Numbers) -> float:
    return float(np.mean(errors)) if errors.size else 0.0


# --- pursuits -------------------------------------------------------------------------------------


def least_squares(layer: Layer, output: Numbers, positive: bool, options: Options) -> Any:
    """Input [k] of the smallest squared error of the outputs that were let through."""
    return _pursue(layer, output, _non_negative if positive else _free, options)


def sparse_code(layer: Layer, output: Numbers, positive: bool, options: Options) -> Any:
    """Input [k] by FISTA (Beck & Teboulle 2009), then least squares on the support it leaves.

    Inputs that no ReLU made are not sparse: they are solved by least squares alone.
    """

    def pruned(matrix: Numbers, values: Numbers) -> Numbers:
        x = fista(matrix, values, options)
        support = x > PRUNED * np.max(x, initial=0.0)
        x[support] = _non_negative(matrix[:, support], values)
        return np.where(support, x, 0.0)

    return _pursue(layer, output, pruned if positive else _free, options)


def _pursue(
    layer: Layer, output: Numbers, solve: Callable[[Numbers, Numbers], Numbers], options: Options
) -> Any:
    """Solve for the outputs above the smallest tolerance that the mean error keeps."""

    def attempt(tolerance: float) -> tuple[Any, float]:
        matrix, values = _scaled(read(layer, output, tolerance))
        if not len(matrix):
            return np.zeros(matrix.shape[1]), 0.0
        try:
            x = solve(matrix, values)
        except (RuntimeError, np.linalg.LinAlgError):  # too many iterations
            return None, np.inf
        return x, _mean(np.abs(matrix @ x - values))

    return _smallest(attempt, options.tolerance)


def _free(matrix: Numbers, values: Numbers) -> Numbers:
    return np.asarray(np.linalg.lstsq(matrix, values)[0], np.float64)


def _non_negative(matrix: Numbers, values: Numbers) -> Numbers:
    return nnls(matrix, values)[0]


def fista(matrix: Numbers, values: Numbers, options: Options) -> Numbers:
    """The x >= 0 [k] of least |matrix @ x - values|^2 / 2 + sparsity x |matrix' values| x |x|_1."""
    back, square = matrix.T @ values, matrix.T @ matrix
    rate = 1 / max(float(np.linalg.norm(matrix, 2)) ** 2, 1e-30)
    threshold = rate * options.sparsity * np.max(np.abs(back))
    x = ahead = np.zeros(matrix.shape[1])
    momentum = 1.0
    for _ in range(options.iterations):
        moved = np.maximum(ahead - rate * (square @ ahead - back) - threshold, 0.0)
        onward = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / onward * (moved - x)
        x, momentum = moved, onward
    return x


METHODS: dict[str, Callable[..., Any]] = {
    "lp": largest_error,
    "lp-relaxed": sum_of_errors,
    "nnls": least_squares,
    "ista": sparse_code,
}
