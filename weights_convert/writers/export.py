"""`export(generator, target)`: a jaxinv generator -> a state dict for the code of somebody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxinv.io import checkpoints
from jaxinv.io.checkpoints import read_spec, weights_file
from jaxinv.io.files import atomic_write
from jaxinv.io.output_folder import check_target
from jaxinv.specs import GeneratorSpec
from jaxinv.specs.checks import check_choice
from weights_convert.networks import stylegan2, stylegan3
from weights_convert.writers import torch_files

Params = Mapping[str, Any]


class Target(NamedTuple):
    """`obstacle` names what of a generator the target cannot express ("": nothing)."""

    obstacle: Callable[[GeneratorSpec], str]
    tree: Callable[[Params, GeneratorSpec], dict[str, Any]]


def export(generator: str | Path, target: str, *, out: str | Path | None = None) -> Path:
    """Path of a torch file with the weights of a generator, as `target` loads them.

    `generator` is a name in the cache folder or a .safetensors file; `target` one of `TARGETS`;
    `out` (default: NAME-TARGET.pt in the current folder) must end in .pt or .pth. Raises
    `ValueError` for anything else, and for a generator that the target cannot express. A
    discriminator stays behind.
    """
    check_choice("target", target, tuple(TARGETS))
    source = weights_file(str(generator))
    if source.suffix != ".safetensors":
        raise ValueError(
            f"generator {str(generator)!r}; allowed with a target: a name or .safetensors file "
            "that `jaxinv convert` made"
        )
    path = Path(f"{source.stem}-{target}.pt" if out is None else out)
    if path.suffix not in (".pt", ".pth"):
        raise ValueError(f"output {str(path)!r}; allowed: a name that ends in .pt or .pth")
    check_target(path, [source])
    spec = read_spec(checkpoints.read_metadata(source))
    _check(spec, target)
    from jaxinv.models.weights import read_weights

    tree = TARGETS[target].tree(_with_average(read_weights(source)[0], spec), spec)
    return atomic_write(path, lambda handle: torch_files.write(tree, handle))


def _check(spec: GeneratorSpec, target: str) -> None:
    if obstacle := TARGETS[target].obstacle(spec):
        others = [name for name, other in TARGETS.items() if not other.obstacle(spec)]
        raise ValueError(
            f"{target} cannot express generator {spec.name!r}: {obstacle}; "
            f"allowed for it: {', '.join(others) or 'no target'}"
        )


def _with_average(params: Params, spec: GeneratorSpec) -> Params:
    """Mapping and synthesis with the mean of W, measured if the checkpoint had none."""
    mapping = params["mapping"]
    if "average" not in mapping:
        from jaxinv.models.loading import build
        from jaxinv.models.statistics import cached_statistics

        mean = cached_statistics(build(spec), dict(params))["mean"]
        mapping = {**mapping, "average": mean}
    return {"mapping": mapping, "synthesis": params["synthesis"]}


def _other_architecture(spec: GeneratorSpec, *allowed: str) -> str:
    known = spec.architecture in allowed
    return "" if known else f"architecture {spec.architecture!r}, not {' or '.join(allowed)}"


def _rosinality_obstacle(spec: GeneratorSpec) -> str:
    facts = dict(spec.facts)
    obstacles = {
        f"it has {spec.labels} classes": spec.labels > 0,
        f"it clamps its layers at {facts.get('clamp')}": "clamp" in facts,
        f"z has {spec.z_dim} numbers and w {spec.w_dim}": spec.z_dim != spec.w_dim,
    }
    found = (obstacle for obstacle, present in obstacles.items() if present)
    return _other_architecture(spec, "stylegan2") or next(found, "")


def _nvlabs_obstacle(spec: GeneratorSpec) -> str:
    concatenated = dict(spec.facts).get("label") == "concat"
    return _other_architecture(spec, "stylegan2", "stylegan3") or (
        "its classes are embedded as in the first StyleGAN2 code" if concatenated else ""
    )


def _rosinality(params: Params, spec: GeneratorSpec) -> dict[str, Any]:
    arrays = stylegan2.export(params, spec, stylegan2.ROSINALITY)
    average = arrays.pop(stylegan2.ROSINALITY.average)
    return {"g_ema": arrays, "latent_avg": average}


def _nvlabs(params: Params, spec: GeneratorSpec) -> dict[str, np.ndarray]:
    if spec.architecture == "stylegan3":
        return stylegan3.export(params, spec)
    return stylegan2.export(params, spec, stylegan2.NVLABS)


TARGETS: dict[str, Target] = {
    "rosinality": Target(_rosinality_obstacle, _rosinality),
    "nvlabs-state-dict": Target(_nvlabs_obstacle, _nvlabs),
}
