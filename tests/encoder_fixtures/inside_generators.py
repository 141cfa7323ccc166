"""Feature-Style, HyperStyle, HyperInverter and HFGI: encoders that change a generator's inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.encoders import hypernetworks, residual_fusion, rollouts
from jaxinv.encoders.layers import Network
from jaxinv.encoders.networks import build
from jaxinv.encoders.planes import Sample, fitted
from jaxinv.models.generators.base import Generator
from jaxinv.models.loading import load_generator
from jaxinv.specs.encoders import EncoderSpec
from jaxinv.types import Params
from tests.encoder_fixtures.conversion import Pair, bare, checkpoint, converted
from tests.encoder_fixtures.pictures_to_codes import first, last, maps_and_code
from tests.encoder_fixtures.rules import check_output, inputs, tensors
from tests.net_fixtures.rules import read_meta
from weights_convert.networks import encoders_of_generators, torch_layers

Arrays = Mapping[str, np.ndarray]


class Part(Network):
    """One function of layers as a network."""

    layers: Any = None

    @nn.compact
    def __call__(self, *given: Any) -> Any:
        return self.layers(self, *given)


def run(spec: EncoderSpec, params: Params, layers: Callable[..., Any], *given: Any) -> Any:
    """What layers make of inputs [n, ...], one by one."""
    variables = {name: params.get(name, {}) for name in ("params", "batch_stats")}

    @jax.jit
    def one(variables: Any, *xs: Any) -> Any:
        return Part(spec, layers).apply(variables, *xs)

    found = [one(variables, *map(jnp.asarray, xs)) for xs in zip(*given, strict=True)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found)


def grouped(arrays: Arrays, *prefixes: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with one of these words and a dot."""
    starts = tuple(f"{prefix}." for prefix in prefixes)
    return {name: array for name, array in arrays.items() if name.startswith(starts)}


def render(gen: Generator, params: Params, latents: Any) -> np.ndarray:
    """The picture [3, h, w] that a generator draws."""
    return np.moveaxis(np.asarray(jax.jit(gen.synthesize)(params, latents)), -1, 0)


@pytest.mark.slow
def feature_style(folder: Path) -> None:
    meta, arrays, given = read_meta(folder), tensors(folder), inputs(folder)
    decoder = grouped(arrays, "decoder")
    setting = meta["setting"]
    own = {name: array for name, array in arrays.items() if name not in decoder}
    with converted(bare(own), suffix=".pth") as pair:
        gen, weights = _generator(decoder)
        step = gen.steps[setting["idx_k"] - 1]
        side = gen.features(weights, {"w+": jnp.asarray(given["w"][0])})[step]["x"].shape[0]
        # The file does not say where the content goes; these are the authors' own settings.
        facts = {"share": setting["feature_scale"], "cut": step, "cut_side": side}
        own_facts = tuple({**dict(pair.encoder.spec.facts), **facts}.items())
        part = build(replace(pair.encoder.spec, facts=own_facts))
        maps, _, outputs = maps_and_code(pair._replace(encoder=part), last(given["x"]))
    for level, one in enumerate(reversed(maps), start=1):
        check_output(folder, f"block{level}", first(one))
    check_output(folder, "codes", outputs["code"])
    check_output(folder, "style0", outputs["code"][:, 0])
    ((cut, change),) = outputs["features"].items()
    content = change["add"] / setting["feature_scale"]
    check_output(folder, "content", first(content))
    for name, added in (
        ("image_plain", {}),
        ("image_mixed", {"features": {cut: jax.tree.map(lambda x: x[0], change)}}),
        ("image_replaced", {"features": {cut: {"times": -1.0, "add": content[0]}}}),
    ):
        found = render(gen, weights, {"w+": given["w"][0], **added})
        check_output(folder, name, found[None])
    plain = gen.features(weights, {"w+": jnp.asarray(given["w"][0])})
    for number, step in enumerate(gen.steps[: setting["idx_k"]], start=1):
        if number < setting["idx_k"]:
            check_output(folder, f"feature{number}", first(plain[step]["x"][None]))


def _generator(decoder: Arrays) -> tuple[Generator, Params]:
    import tempfile

    from jaxinv.cli.main import main

    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, "decoder.pt"), Path(folder, "generator.safetensors")
        file.write_bytes(checkpoint(decoder))
        assert main(["convert", str(file), "--out", str(out)]) == 0
        return load_generator(str(out))


@pytest.mark.slow
def hyperstyle(folder: Path) -> None:
    meta, arrays, given = read_meta(folder), tensors(folder), inputs(folder)
    passes = meta["setting"]["n_iters"]
    renamed = {
        name.replace("w_encoder.", "encoder."): array
        for name, array in grouped(arrays, "w_encoder").items()
    }
    own = grouped(arrays, "hypernet", "decoder")
    options = {"n_iters_per_batch": passes, "output_size": meta["setting"]["output_size"]}
    content = checkpoint(own, latent_avg=arrays["latent_avg"], opts=options)
    before = checkpoint(renamed, latent_avg=arrays["latent_avg"][0], opts=options)
    with converted(content, before=before) as pair:
        encoder, gen = pair.encoder, pair.gen
        assert gen is not None
        assert encoder.spec.passes == passes
        weights = rollouts.Weights(pair.params, pair.weights or {})
        sample = Sample(jnp.asarray(last(given["x"])[0]))
        latents = jax.jit(lambda w, s: rollouts.begin(encoder, gen, w, s))(weights, sample)
        check_output(folder, "latents", latents["w+"])
        codes = np.asarray(latents["w+"]) - arrays["latent_avg"]
        check_output(folder, "w_codes", codes[None])
        check_output(folder, "image_initial", render(gen, weights.generator, latents))
        look = jax.jit(lambda w, s, x: rollouts.look(encoder, gen, w, s, x))
        for number in range(1, passes + 1):
            latents = look(weights, sample, latents)
            _check_factors(folder, encoder.spec, latents["weights"], f"_pass{number}")
            picture = render(gen, weights.generator, latents)
            check_output(folder, f"image_pass{number}", picture)


def _check_factors(folder: Path, spec: EncoderSpec, weights: Any, end: str, lead: int = 0) -> None:
    """Hold the factors of every changed layer against those of the original, [out, in, h, w]."""
    for change in (hypernetworks.Change(*one) for one in dict(spec.facts)["changes"]):
        found = weights
        for name in change.path:
            found = found[name]
        delta = np.asarray(found["times"])
        delta = delta[None, None] if change.kind == hypernetworks.IMAGE else delta
        delta = (delta[::-1, ::-1] if change.flipped else delta).transpose(3, 2, 0, 1)
        name = f"delta{change.number}{end}"
        check_output(folder, name, delta[(None,) * lead])


@pytest.mark.slow
def hyperstyle_deltas(folder: Path) -> None:
    arrays = {name.removeprefix("hypernet."): array for name, array in tensors(folder).items()}
    fields, params = encoders_of_generators.hyperstyle(arrays)
    spec = EncoderSpec("factors", **{**fields, "base": "zeros"})
    tree: Any = jax.tree.map(jnp.asarray, params)
    maps, _, outputs = maps_and_code(Pair(build(spec), tree), last(inputs(folder)["x"]))
    check_output(folder, "body15", first(maps[0]))
    check_output(folder, "body2", first(maps[-1]))
    one = jax.tree.map(lambda x: x[0], outputs["weights"])
    _check_factors(folder, spec, one, "", lead=1)


def blocks(folder: Path) -> None:
    meta, given, spec = read_meta(folder), inputs(folder), EncoderSpec("blocks", "none", "none")
    setting, arrays = meta["setting"], tensors(folder)
    shared = {f"{name}": a for name, a in arrays.items() if name.startswith("shared.")}
    named = {
        name.replace("shared.", f"{hypernetworks.SHARED_NAME}."): a.T if a.ndim == 2 else a
        for name, a in shared.items()
    }
    params = torch_layers.convert(encoders_of_generators.TWO_MAPS(named))
    small = setting["SharedWeightsHypernet"]
    shape = small["out_size"], small["in_size"], small["f_size"]
    kernel = run(
        spec,
        params,
        lambda net, z: hypernetworks.two_maps(
            hypernetworks.two_layers(hypernetworks.SHARED_NAME, z.shape[-1], shape), z, shape
        ),
        given["z"],
    )
    check_output(folder, "shared_kernel", kernel.transpose(0, 4, 3, 1, 2))
    for kind, start in (("RefinementBlock", "refine"), ("RefinementBlockSeparable", "sep")):
        for number in setting[kind]:
            block = f"{start}{number}"
            own = {
                name.replace(block, f"refinement_blocks.{number}"): array
                for name, array in arrays.items()
                if name.startswith(f"{block}.")
            }
            change = hypernetworks.Change(*encoders_of_generators.change(own, number))
            found = run(
                spec,
                torch_layers.convert(own),
                lambda net, x, change=change: hypernetworks.factors(
                    net, f"refinement_blocks.{change.number}", x, change, {}
                ),
                last(given["features"]),
            )
            check_output(folder, f"{block}_delta", found.transpose(0, 4, 3, 1, 2))


def hyperinverter(folder: Path) -> None:
    meta, given = read_meta(folder), inputs(folder)
    spec = EncoderSpec("h", "none", "none", facts=(("hidden", meta["setting"]["hidden_dim"]),))
    names = {"w1": "first.weight", "b1": "first.bias", "w2": "second.weight", "b2": "second.bias"}
    own: dict[str, np.ndarray] = {}
    for name, array in tensors(folder).items():
        layer, _, part = name.removeprefix("hypernet.weight_regressors.").rpartition(".")
        turned = array.T if part in ("w1", "w2") else array
        own[f"{layer}.{names.get(part, part)}"] = turned
    params = torch_layers.convert(own)
    stacks = [np.moveaxis(given[name], 2, -1) for name in ("w_image_codes", "w_bar_codes")]
    for target, facts in meta["setting"]["target_shape"].items():
        layer, shape = target.replace(".", "_"), tuple(facts["shape"])
        maps = [stack[:, facts["w_idx"]] for stack in stacks]
        found = run(
            spec,
            params,
            lambda net, a, b, layer=layer, shape=shape: hypernetworks.regressed(
                net, layer, (a, b), shape
            ),
            *maps,
        )
        order = (0, 4, 3, 1, 2) if len(shape) > 2 else (0, 2, 1)
        check_output(folder, f"weights.{target}", found.transpose(order))


@pytest.mark.slow
def hfgi(folder: Path) -> None:
    arrays, given = tensors(folder), inputs(folder)
    own = {name: array for name, array in arrays.items() if name != "latent_avg"}
    options = {"start_from_latent_avg": True, "encoder_type": "GradualStyleEncoder"}
    with converted(checkpoint(own, latent_avg=arrays["latent_avg"], opts=options)) as pair:
        assert pair.gen is not None
        encoder, gen = pair.encoder, pair.gen
        weights = rollouts.Weights(pair.params, pair.weights or {})
        _check_branches(folder, pair, given)
        (cut,) = _cuts(pair)
        changes = run(encoder.spec, pair.params, _consulted, last(given["res"])[:1])
        change = {"times": changes[0][0], "add": changes[1][0]}
        latents = {"w+": jnp.asarray(given["w"][0])}
        for name, extra in (("image_plain", {}), ("image_fused", {"features": {cut: change}})):
            picture = render(gen, weights.generator, {**latents, **extra})
            check_output(folder, name, picture[None])
        sample = Sample(jnp.asarray(last(given["x"])[0]))
        start = jax.jit(lambda w, s: rollouts.begin(encoder, gen, w, s))(weights, sample)
        check_output(folder, "full_latents", start["w+"][None])
        drawn = fitted(
            encoder.spec, gen.synthesize(weights.generator, start), encoder.spec.resize_drawn
        )
        # Two networks in a row: what the first one rounds, the second one draws.
        check_output(folder, "full_first_image256", first(drawn[None]), 2e-5)
        found = jax.jit(lambda w, s: rollouts.encode(encoder, gen, w, s))(weights, sample)
        picture = render(gen, weights.generator, found)
        check_output(folder, "full_image", picture[None], 2e-5)
        same = jax.jit(lambda w, s, e: rollouts.correct(encoder, gen, w, s, e))(
            weights, sample, start
        )
        again = render(gen, weights.generator, same)
        np.testing.assert_allclose(again, picture, atol=1e-5)


def _cuts(pair: Pair) -> Iterable[str]:
    shapes = jax.eval_shape(
        pair.encoder.predict, pair.params, jnp.zeros(pair.encoder.spec.input_shape)
    )
    return shapes["features"]


def _consulted(net: Network, x: Any) -> Any:
    return residual_fusion.consulted(net, "residue", x)


def _check_branches(folder: Path, pair: Pair, given: Arrays) -> None:
    spec = pair.encoder.spec
    moved = run(
        spec,
        pair.params,
        lambda net, x: residual_fusion.aligned(net, "grid_align", x),
        last(given["res_plus_image"]),
    )
    check_output(folder, "aligned", first(moved))
    for name, found in zip(
        ("scale", "shift"),
        run(spec, pair.params, _consulted, last(given["res"])),
        strict=True,
    ):
        check_output(folder, name, first(found))


CHECKS: dict[str, Callable[[Path], None]] = {
    "featurestyle": feature_style,
    "hyperstyle": hyperstyle,
    "hyperstyle-blocks": blocks,
    "hyperstyle-deltas": hyperstyle_deltas,
    "hyperinverter-hypernet": hyperinverter,
    "hfgi": hfgi,
}
