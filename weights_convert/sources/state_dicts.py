"""State dicts: names and arrays, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weights_convert.errors import UnsafeFileError
from weights_convert.networks import (
    biggan,
    chains,
    dcgan,
    discriminators,
    fastgan,
    pggan,
    stylegan1,
    stylegan1_rosinality,
    stylegan2,
    stylegan3,
    styleswin,
    variational,
    wavegan,
)
from weights_convert.sources.base import (
    Arrays,
    DiscriminatorParams,
    Facts,
    Source,
    requiring,
    state_dict,
)


def _rosinality(tree: Any) -> Arrays | None:
    whole = {**tree, "": tree} if isinstance(tree, dict) else tree
    arrays = state_dict(whole, "g_ema", "g", "")
    if arrays is None or "style.1.weight" not in arrays:
        return None
    average = tree.get("latent_avg")
    if not isinstance(average, np.ndarray):
        return arrays
    # pSp and e4e repeat it for every row.
    return arrays | {"latent_avg": average[0] if average.ndim == 2 else average}


def _first_rosinality(tree: Any) -> Arrays | None:
    whole = {**tree, "": tree} if isinstance(tree, dict) else tree
    return state_dict(whole, "g_running", "generator", "")


def _genforce(tree: Any) -> Arrays | None:
    inner = tree.get("models", tree) if isinstance(tree, dict) else tree
    whole = {**inner, "": inner} if isinstance(inner, dict) else inner
    return state_dict(whole, "generator_smooth", "generator", "")


def _discriminator_beside(
    names: discriminators.Naming, key: str, kind: str
) -> Callable[[Any, Any], DiscriminatorParams | None]:
    def discriminator(tree: Any, facts: Any) -> DiscriminatorParams | None:
        del facts
        inner = tree.get("models", tree)
        arrays = state_dict(inner, key)
        return None if arrays is None else discriminators.convert(arrays, names, kind)

    return discriminator


def _discriminator_genforce_pggan(tree: Any, facts: Any) -> DiscriminatorParams | None:
    kind = "plain" if pggan.inputs_lead(_genforce(tree) or {}) else "pooled"
    return _discriminator_beside(discriminators.GENFORCE, "discriminator", kind)(tree, facts)


def _fastgan(tree: Any) -> Arrays | None:
    whole = {**tree, "": tree} if isinstance(tree, dict) else tree
    arrays = state_dict(whole, "g", "")
    averages = tree.get("g_ema") if isinstance(tree, dict) else None
    return arrays if arrays is None or not averages else _averaged(arrays, averages)


def _averaged(arrays: Arrays, averages: Any) -> Arrays:
    """The arrays with the parameters among them, which come in their order, replaced."""
    buffers = ("weight_u", "weight_v", "running_mean", "running_var", "num_batches_tracked")
    names = [name for name in arrays if not name.endswith(buffers)]
    if not isinstance(averages, list) or len(averages) != len(names):
        raise UnsafeFileError("averaged parameters that are not as many as those of the generator")
    for name, value in zip(names, averages, strict=True):
        if not isinstance(value, np.ndarray) or value.shape != arrays[name].shape:
            raise UnsafeFileError(f"averaged parameters in another order: {name} has another shape")
    return arrays | dict(zip(names, averages, strict=True))


def _with(naming: stylegan2.Naming) -> Callable[[Any], Facts]:
    return lambda arrays: stylegan2.convert(arrays, naming)


def bare(tree: Any) -> Arrays | None:
    """A state dict that is the whole file, or the averaged generator of a training file."""
    if isinstance(tree, dict) and ("avgG" in tree or "netG_state_dict" in tree):
        return _gan_zoo(tree)
    return state_dict({"": tree}, "") or None


def _convert_nvlabs_dict(arrays: Arrays, clamp: float | None = None) -> Facts:
    return stylegan2.convert(arrays, stylegan2.NVLABS, clamp=clamp)


def _convert_stylegan3_dict(arrays: Arrays) -> Facts:
    return stylegan3.convert(arrays, stylegan3.states_of(arrays))


def _convert_genforce_stylegan1(arrays: Arrays, fused: bool | str = "auto") -> Facts:
    return stylegan1.convert(arrays, stylegan1.GENFORCE, fused=fused)


def _gan_zoo(tree: Any) -> Arrays | None:
    return state_dict(tree, "avgG", "netG", "netG_state_dict")


def _progressive(
    find: Callable[[Any], Arrays | None], reader: Callable[[pggan.Arrays], pggan.Source | None]
) -> tuple[Callable[[Any], Any], Callable[[Any], Facts]]:
    def find_both(tree: Any) -> Any:
        arrays = find(tree)
        source = None if arrays is None else reader(arrays)
        return None if source is None else (arrays, source, _loss(tree))

    def convert_both(found: Any) -> Facts:
        arrays, source, loss = found
        return pggan.convert(arrays, source, tanh=loss not in (None, "WGANGP"))

    return find_both, convert_both


def _loss(tree: Any) -> Any:
    """GAN zoo's name of the loss, which decides whether the image passes through tanh."""
    settings = tree.get("config") if isinstance(tree, dict) else None
    return settings.get("lossCriterion") if isinstance(settings, dict) else None


def _convert_huggingface(arrays: Arrays, config: Any) -> Facts:
    if not isinstance(config, dict):
        raise UnsafeFileError("this BigGAN says how it is built in config.json: put that beside it")
    return biggan.convert_huggingface(arrays, config)


def _chain(name: str, reader: Callable[[dcgan.Arrays], Any]) -> Source:
    def find(tree: Any) -> Any:
        arrays = bare(tree)
        steps = None if arrays is None else reader(arrays)
        return None if steps is None else (arrays, steps)

    def convert(found: Any, classes: int | None = None) -> Facts:
        return chains.convert(*found, classes)

    return Source(name, find, convert, ("classes",))


def _variational(tree: Any) -> Arrays | None:
    arrays = bare(tree) or {}
    return arrays if all(name in arrays for name in variational.DENSE_ARRAYS) else None


def _wavegan(tree: Any) -> Arrays | None:
    whole = {**tree, "": tree} if isinstance(tree, dict) else tree
    arrays = state_dict(whole, "generator", "")
    return arrays if arrays is not None and wavegan.is_wavegan(arrays) else None


def _styleswin(tree: Any) -> Arrays | None:
    whole = {**tree, "": tree} if isinstance(tree, dict) else tree
    return state_dict(whole, "g_ema", "g", "")


SOURCES: tuple[Source, ...] = (
    Source("StyleSwin", requiring(styleswin.MARKER, _styleswin), styleswin.convert),
    Source(
        "StyleGAN2, rosinality",
        _rosinality,
        _with(stylegan2.ROSINALITY),
        discriminator=_discriminator_beside(discriminators.ROSINALITY, "d", "residual"),
    ),
    Source(
        "StyleGAN2, NVlabs state dict",
        requiring("synthesis.b4.const", bare),
        _convert_nvlabs_dict,
        ("clamp",),
    ),
    Source(
        "StyleGAN3, NVlabs state dict",
        requiring("synthesis.input.freqs", bare),
        _convert_stylegan3_dict,
    ),
    Source(
        "StyleGAN2, genforce",
        requiring("synthesis.early_layer.const", _genforce),
        _with(stylegan2.GENFORCE),
        discriminator=_discriminator_beside(discriminators.GENFORCE, "discriminator", "residual"),
    ),
    Source(
        "StyleGAN, genforce",
        requiring("synthesis.layer0.const", _genforce),
        _convert_genforce_stylegan1,
        ("fused",),
        discriminator=_discriminator_beside(discriminators.GENFORCE, "discriminator", "smooth"),
    ),
    Source(
        "StyleGAN, rosinality",
        requiring(stylegan1_rosinality.CONST, _first_rosinality),
        stylegan1_rosinality.convert,
    ),
    Source(
        "PGGAN, genforce",
        *_progressive(_genforce, pggan.genforce),
        discriminator=_discriminator_genforce_pggan,
    ),
    Source("PGGAN, pytorch_GAN_zoo", *_progressive(_gan_zoo, pggan.gan_zoo)),
    Source(
        "BigGAN or SAGAN, ajbrock",
        requiring("blocks.0.0.conv1.u0", bare),
        biggan.convert_ajbrock,
        ("depth", "epsilon"),
    ),
    Source(
        "BigGAN-deep, HuggingFace",
        requiring("generator.gen_z.weight_orig", bare),
        _convert_huggingface,
        config=True,
    ),
    Source(
        "VAE of dense layers: decoder",
        requiring(variational.DENSE_ARRAYS[-1], _variational),
        variational.dense_generator,
    ),
    Source(
        "AutoencoderKL, diffusers: decoder",
        requiring(variational.KL_ARRAYS[-1], bare),
        variational.kl_generator,
        ("side",),
        config=True,
    ),
    Source("WaveGAN, mostafaelaraby", _wavegan, wavegan.convert, ("length",)),
    Source(
        "FastGAN",
        requiring(fastgan.MARKER, _fastgan),
        lambda arrays: fastgan.convert(arrays, fastgan.Source(normalised=False)),
    ),
    *(_chain(name, reader) for name, reader in dcgan.READERS.items()),
)
