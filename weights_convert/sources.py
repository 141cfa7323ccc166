"""Who wrote a checkpoint, and what of it becomes a generator: one recogniser per source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weights_convert import (
    biggan,
    dcgan,
    discriminators,
    keras,
    pggan,
    stylegan1,
    stylegan2,
    stylegan3,
)
from weights_convert.errors import UnsafeFileError

Arrays = dict[str, np.ndarray]


class Converted(NamedTuple):
    """Nested parameters, fields of the `GeneratorSpec`, and the name of the source's layout."""

    params: dict[str, Any]
    facts: dict[str, Any]
    source: str


Judged = tuple[dict[str, Any], list[Any]]  # parameters and plan of a discriminator


class Source(NamedTuple):
    """`find` gives the generator's arrays in a tree (None: another source); `convert` uses them.

    `judge` gives the discriminator that stands beside it, or None.
    """

    name: str
    find: Callable[[Any], Any]
    convert: Callable[..., tuple[dict[str, Any], dict[str, Any]]]
    options: tuple[str, ...] = ()
    config: bool = False
    judge: Callable[[Any], Judged | None] | None = None


def convert(tree: Any, *, config: Any = None, **options: Any) -> Converted:
    """The generator of a checkpoint's plain tree.

    `config` is what stands in the file config.json beside it, which one source needs. `options` say
    what a source's files leave open: "fused" (bool), whether a first StyleGAN of genforce was built
    with fused_scale=True or False instead of "auto"; "depth" and "epsilon" of a BigGAN by ajbrock.
    Raises `UnsafeFileError`, saying what was found and what is known, for a tree that no source
    writes; `ValueError` for an option that the source does not need.
    """
    for source in SOURCES:
        found = source.find(tree)
        if found is None:
            continue
        if source.config:
            options["config"] = config
        if extra := sorted(set(options) - {*source.options, "config"}):
            raise ValueError(
                f"option {extra[0]!r} with a file of {source.name}; "
                f"allowed: {', '.join(source.options) or 'none'}"
            )
        params, facts = source.convert(found, **options)
        return with_discriminator(Converted(params, facts, source.name), source, tree)
    raise UnsafeFileError(
        f"no known generator in the file: it holds {_summary(tree)}; "
        f"known: {', '.join(source.name for source in SOURCES)}"
    )


def with_discriminator(converted: Converted, source: Source, tree: Any) -> Converted:
    """The same with the discriminator of the tree, if it has one of a kind that is known."""
    try:
        judged = source.judge(tree) if source.judge else None
    except UnsafeFileError:  # somebody's own: the generator is good without
        judged = None
    if judged is None:
        return converted
    params, plan = judged
    facts = [*converted.facts["facts"], ["discriminator", plan]]
    return converted._replace(
        params={**converted.params, "discriminator": params},
        facts={**converted.facts, "facts": facts},
    )


def _summary(tree: Any) -> str:
    names = list(tree) if isinstance(tree, dict) else []
    shown = ", ".join(str(name)[:40] for name in names[:6])
    return f"{type(tree).__name__} of {shown or 'nothing that has a name'}"


def state_dict(tree: Any, *keys: str) -> Arrays | None:
    """The arrays by name under the first of `keys` that the tree has, without "module."."""
    for key in keys:
        held = tree.get(key) if isinstance(tree, dict) else None
        if isinstance(held, dict) and all(isinstance(name, str) for name in held):
            return {
                name.removeprefix("module."): value
                for name, value in held.items()
                if isinstance(value, np.ndarray)
            }
    return None


# --- NVlabs, torch --------------------------------------------------------------------------------


def _nvlabs(tree: Any) -> Any:
    node = tree.get("G_ema") if isinstance(tree, dict) else None
    return node if isinstance(node, dict) and "state" in node else None


def _nvlabs_with(marker: str) -> Callable[[Any], Any]:
    def find(tree: Any) -> Any:
        node = _nvlabs(tree)
        return node if node is not None and marker in dict(module_arrays(node)) else None

    return find


def _convert_stylegan3(node: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    states = {path: state for state, path in _modules(node, "")}
    return stylegan3.convert(dict(module_arrays(node)), states)


def module_arrays(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Parameters and buffers of a torch module and all modules within, by dotted name."""
    for inner, path in _modules(node, prefix):
        for kind in ("_parameters", "_buffers"):
            for name, value in inner.get(kind, {}).items():
                if isinstance(value, np.ndarray):
                    yield f"{path}{name}", value


def _modules(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[dict[str, Any], str]]:
    state = node.get("state")
    if not isinstance(state, dict):
        raise UnsafeFileError(f"module {prefix or 'at the top'!r} has no attributes")
    yield state, prefix
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, dict):
            yield from _modules(child, f"{prefix}{name}.")


def _convert_nvlabs(node: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    layers = [state for state, _ in _modules(node, "") if "conv_clamp" in state]
    clamps = {state["conv_clamp"] for state in layers if "weight" in state.get("_parameters", {})}
    if len(clamps) > 1:
        raise UnsafeFileError(f"layers with different clamps: {clamps}; allowed: one")
    clamp = clamps.pop() if clamps else None
    return stylegan2.convert(dict(module_arrays(node)), stylegan2.NVLABS, clamp=clamp)


def _judge_nvlabs(tree: Any) -> Judged | None:
    node = tree.get("D")
    if not isinstance(node, dict) or "state" not in node:
        return None
    states = [state for state, _ in _modules(node, "")]
    clamps = {state["conv_clamp"] for state in states if state.get("conv_clamp")}
    clamp = clamps.pop() if clamps else None
    group = next((state["group_size"] for state in states if "group_size" in state), None)
    return discriminators.convert(
        dict(module_arrays(node)), discriminators.NVLABS, "residual", group=group, clamp=clamp
    )


# --- NVlabs, TensorFlow ---------------------------------------------------------------------------


def network_arrays(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Variables of a Network and of its components, by path."""
    for name, value in node.get("variables", ()):
        yield f"{prefix}{name}", np.asarray(value, np.float32)
    for name, inner in (node.get("components") or {}).items():
        yield from network_arrays(inner, f"{prefix}{name}/")


def _tensorflow(tree: Any) -> Any:
    """The averaged generator of a 3-tuple of Networks, and its arrays."""
    if not (isinstance(tree, tuple) and len(tree) == 3 and isinstance(tree[2], dict)):
        return None
    node = tree[2]
    return (node, dict(network_arrays(node))) if node.get("class") == "Network" else None


def _tensorflow_with(marker: str) -> Callable[[Any], Any]:
    def find(tree: Any) -> Any:
        found = _tensorflow(tree)
        return found if found is not None and marker in found[1] else None

    return find


def _static(node: Any, name: str, usual: Any) -> Any:
    """An argument that the network was built with, from its synthesis or from the whole."""
    inner = (node.get("components") or {}).get("synthesis") or {}
    whole, part = (one.get("static_kwargs") or {} for one in (node, inner))
    return part.get(name, whole.get(name, usual))


def _convert_tensorflow(found: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    node, arrays = found
    arrays = {name: array for name, array in arrays.items() if name != "lod"}
    clamp = _static(node, "conv_clamp", None)
    return stylegan2.convert(arrays, stylegan2.TENSORFLOW, clamp=clamp)


def _convert_tensorflow_stylegan1(found: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    node, arrays = found
    return stylegan1.convert(
        arrays, stylegan1.TENSORFLOW, fused=_static(node, "fused_scale", "auto")
    )


def _judge_tensorflow(kind: str) -> Callable[[Any], Judged | None]:
    def judge(tree: Any) -> Judged | None:
        node = tree[1]
        if not isinstance(node, dict) or node.get("class") != "Network":
            return None
        arrays = dict(network_arrays(node))
        fused = kind == "pooled" and any("Conv1_down" in name for name in arrays)
        group, clamp = (_static(node, name, None) for name in ("mbstd_group_size", "conv_clamp"))
        return discriminators.convert(
            arrays,
            discriminators.TENSORFLOW,
            "plain" if fused else kind,
            group=group,
            clamp=clamp,
        )

    return judge


# --- state dicts ----------------------------------------------------------------------------------


def _rosinality(tree: Any) -> Arrays | None:
    arrays = state_dict(tree, "g_ema", "g")
    if arrays is None or "style.1.weight" not in arrays:
        return None
    average = tree.get("latent_avg")
    return arrays | ({"latent_avg": average} if isinstance(average, np.ndarray) else {})


def _genforce(tree: Any) -> Arrays | None:
    inner = tree.get("models", tree) if isinstance(tree, dict) else tree
    return state_dict(inner, "generator_smooth", "generator")


def _judge_beside(
    names: discriminators.Naming, key: str, kind: str
) -> Callable[[Any], Judged | None]:
    def judge(tree: Any) -> Judged | None:
        inner = tree.get("models", tree)
        arrays = state_dict(inner, key)
        return None if arrays is None else discriminators.convert(arrays, names, kind)

    return judge


def _judge_genforce_pggan(tree: Any) -> Judged | None:
    kind = "plain" if pggan.inputs_lead(_genforce(tree) or {}) else "pooled"
    return _judge_beside(discriminators.GENFORCE, "discriminator", kind)(tree)


def _having(marker: str, find: Callable[[Any], Arrays | None]) -> Callable[[Any], Arrays | None]:
    def found(tree: Any) -> Arrays | None:
        arrays = find(tree)
        return arrays if arrays is not None and marker in arrays else None

    return found


def _with(naming: stylegan2.Naming) -> Callable[[Any], tuple[dict[str, Any], dict[str, Any]]]:
    return lambda arrays: stylegan2.convert(arrays, naming)


def _bare(tree: Any) -> Arrays | None:
    """A state dict that is the whole file, or the generator of a training file."""
    if isinstance(tree, dict) and ("avgG" in tree or "netG_state_dict" in tree):
        return state_dict(tree, "avgG", "netG", "netG_state_dict")
    return state_dict({"": tree}, "") or None


def _convert_genforce_stylegan1(
    arrays: Arrays, fused: bool | str = "auto"
) -> tuple[dict[str, Any], dict[str, Any]]:
    return stylegan1.convert(arrays, stylegan1.GENFORCE, fused=fused)


def _tensorflow_arrays(tree: Any) -> Arrays | None:
    found = _tensorflow(tree)
    return None if found is None else found[1]


def _gan_zoo(tree: Any) -> Arrays | None:
    return state_dict(tree, "avgG", "netG")


def _progressive(
    find: Callable[[Any], Arrays | None], reader: Callable[[pggan.Arrays], pggan.Source | None]
) -> tuple[Callable[[Any], Any], Callable[[Any], tuple[dict[str, Any], dict[str, Any]]]]:
    def find_both(tree: Any) -> Any:
        arrays = find(tree)
        source = None if arrays is None else reader(arrays)
        return None if source is None else (arrays, source, _loss(tree))

    def convert_both(found: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays, source, loss = found
        return pggan.convert(arrays, source, tanh=loss not in (None, "WGANGP"))

    return find_both, convert_both


def _loss(tree: Any) -> Any:
    """GAN zoo's name of the loss, which decides whether the image passes through tanh."""
    settings = tree.get("config") if isinstance(tree, dict) else None
    return settings.get("lossCriterion") if isinstance(settings, dict) else None


def _convert_huggingface(arrays: Arrays, config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(config, dict):
        raise UnsafeFileError("this BigGAN says how it is built in config.json: put that beside it")
    return biggan.convert_huggingface(arrays, config)


def _chain(name: str, reader: Callable[[dcgan.Arrays], Any]) -> Source:
    def find(tree: Any) -> Any:
        arrays = _bare(tree)
        steps = None if arrays is None else reader(arrays)
        return None if steps is None else (arrays, steps)

    return Source(name, find, lambda found: dcgan.convert(*found))


SOURCES: tuple[Source, ...] = (
    Source(
        "StyleGAN2, NVlabs torch",
        _nvlabs_with("synthesis.b4.const"),
        _convert_nvlabs,
        judge=_judge_nvlabs,
    ),
    Source(
        "StyleGAN3, NVlabs torch",
        _nvlabs_with("synthesis.input.freqs"),
        _convert_stylegan3,
        judge=_judge_nvlabs,
    ),
    Source(
        "StyleGAN2, NVlabs TensorFlow",
        _tensorflow_with("synthesis/4x4/Conv/mod_weight"),
        _convert_tensorflow,
        judge=_judge_tensorflow("residual"),
    ),
    Source(
        "StyleGAN, NVlabs TensorFlow",
        _tensorflow_with("synthesis/4x4/Const/StyleMod/weight"),
        _convert_tensorflow_stylegan1,
        judge=_judge_tensorflow("smooth"),
    ),
    Source(
        "StyleGAN2, rosinality",
        _rosinality,
        _with(stylegan2.ROSINALITY),
        judge=_judge_beside(discriminators.ROSINALITY, "d", "residual"),
    ),
    Source(
        "StyleGAN2, genforce",
        _having("synthesis.early_layer.const", _genforce),
        _with(stylegan2.GENFORCE),
        judge=_judge_beside(discriminators.GENFORCE, "discriminator", "residual"),
    ),
    Source(
        "StyleGAN, genforce",
        _having("synthesis.layer0.const", _genforce),
        _convert_genforce_stylegan1,
        ("fused",),
        judge=_judge_beside(discriminators.GENFORCE, "discriminator", "smooth"),
    ),
    Source(
        "PGGAN, NVlabs TensorFlow",
        *_progressive(_tensorflow_arrays, pggan.tensorflow),
        judge=_judge_tensorflow("pooled"),
    ),
    Source(
        "PGGAN, genforce",
        *_progressive(_genforce, pggan.genforce),
        judge=_judge_genforce_pggan,
    ),
    Source("PGGAN, pytorch_GAN_zoo", *_progressive(_gan_zoo, pggan.gan_zoo)),
    Source(
        "BigGAN or SAGAN, ajbrock",
        _having("blocks.0.0.conv1.u0", _bare),
        biggan.convert_ajbrock,
        ("depth", "epsilon"),
    ),
    Source(
        "BigGAN-deep, HuggingFace",
        _having("generator.gen_z.weight_orig", _bare),
        _convert_huggingface,
        config=True,
    ),
    *(_chain(name, reader) for name, reader in dcgan.READERS.items()),
    Source("Sequential, Keras", keras.find, keras.convert),
)
