"""The pSp family: converted by the public function, then codes, rollouts and pictures compared."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal as assert_equal

import jaxinv
from jaxinv.encoders import rollouts
from jaxinv.encoders.base import Beside, Encoder
from jaxinv.encoders.loading import linked_generator, load_encoder
from jaxinv.encoders.networks import Parts
from jaxinv.encoders.planes import Sample, fitted, planes_of
from jaxinv.models.loading import load_generator
from jaxinv.solvers.registry import build as build_solver
from jaxinv.specs import SolverSpec
from jaxinv.types import Params
from tests.encoder_fixtures.rules import check_output, draw, inputs, tensors
from tests.fixture_checks import Check
from tests.net_fixtures.rules import read_meta
from tests.torchlike import finished, raw, state_dict, tensor, value
from weights_convert import UnsafeFileError, convert
from weights_convert.sources.containers import read_checkpoint

AVERAGE = "latent_avg"
OPTIONS: dict[str, str] = {
    "cls": "encoder_type",
    "n_iters": "n_iters_per_batch",
}  # their names in the settings


class Held(NamedTuple):
    """What a fixture's file became: the encoder, and the generator if it has one."""

    encoder: Encoder
    params: Params
    generator: Any


def options(folder: Path) -> dict[str, Any]:
    """The training options of a fixture, as its code would keep them in the file."""
    setting: dict[str, Any] = read_meta(folder)["setting"]
    return {OPTIONS.get(name, name): value for name, value in setting.items()}


def write_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], opts: dict[str, Any]) -> None:
    """A file as torch.save writes it: state_dict, opts, and latent_avg if there is one."""
    held = {name: array for name, array in arrays.items() if name != AVERAGE}
    body = b"}(" + value("state_dict") + state_dict(held) + value("opts") + value(opts)
    parts = list(held.values())
    if AVERAGE in arrays:
        body += value(AVERAGE) + tensor(arrays[AVERAGE], str(len(parts)))
        parts.append(arrays[AVERAGE])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", finished(body + b"u"))
        archive.writestr("archive/byteorder", b"little")
        for number, array in enumerate(parts):
            archive.writestr(f"archive/data/{number}", raw(array))


@contextmanager
def converted(folder: Path) -> Iterator[Held]:
    """The encoder and generator that `jaxinv.convert` makes of a fixture."""
    with tempfile.TemporaryDirectory() as place:
        file, out = Path(place, "published.pt"), Path(place, "encoder.safetensors")
        write_checkpoint(file, tensors(folder), options(folder))
        convert(file, out=out, name="published")
        file.unlink()
        encoder, params = load_encoder(str(out))
        linked = Path(place, "published-generator.safetensors")
        generator = load_generator(linked_generator(str(out))) if linked.is_file() else None
        yield Held(encoder, params, generator)


def pictures(x: np.ndarray) -> np.ndarray:
    """[n, c, h, w] -> [n, h, w, c]."""
    return np.moveaxis(x, 1, -1)


def chw(x: Any) -> np.ndarray:
    """[n, h, w, c] -> [n, c, h, w]."""
    return np.moveaxis(np.asarray(x), -1, 1)


@partial(jax.jit, static_argnums=0)
def seen(encoder: Encoder, params: Params, planes: jax.Array, stage: Any) -> Any:
    """The code of every sample, and what each named layer gave."""
    network, variables = Parts(encoder.spec), {k: params[k] for k in ("params", "batch_stats")}

    def one(sample: jax.Array) -> Any:
        beside = Beside(stage=stage)
        return network.apply(
            variables, sample, beside, capture_intermediates=True, mutable=["intermediates"]
        )

    outputs, middle = jax.vmap(one)(planes)
    layers = {n: v["__call__"][0] for n, v in middle["intermediates"].items() if n != "__call__"}
    return outputs["code"], layers


def layers_of(layers: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The layers that fixtures keep, by their names there."""
    found: dict[str, np.ndarray] = {}
    for name, ours in (("stem", "input_layer.2"), ("stem", "relu"), ("stem_conv", "conv1")):
        if ours in layers:
            found[name] = chw(layers[ours])
    for level in (1, 2):
        if f"latlayer{level}" in layers:
            found[f"lat{level}"] = chw(layers[f"latlayer{level}"])
    for row in range(40):
        if f"styles.{row}.linear" in layers:
            found[f"style{row}"] = np.asarray(layers[f"styles.{row}.linear"])
    for level in (3, 4, 5):
        if f"output_layer_{level}.3" in layers:
            found[f"head{level}"] = np.asarray(layers[f"output_layer_{level}.3"])
    if "output_layer_2.3" in layers:
        found["fc"] = np.asarray(layers["output_layer_2.3"])
    return found


def check_all(folder: Path, found: Mapping[str, Any]) -> None:
    """Compare what there is of a fixture's outputs."""
    stored = read_meta(folder)["io"]
    for name, ours in found.items():
        if name in stored:
            check_output(folder, name, ours)


def check_single(folder: Path) -> None:
    """pSp and e4e: one look, its layers, its stages, and what the decoder draws of it."""
    x = pictures(inputs(folder)["x"])
    with converted(folder) as held:
        encoder, params, (gen, weights) = held
        sees = "labels" if "image" not in encoder.spec.planes else "image"
        planes = jax.vmap(lambda one: planes_of(encoder.spec, Sample(**{sees: one}), None))(x)
        code, layers = seen(encoder, params, planes, None)
        check_all(folder, layers_of(layers) | {"codes": code})
        for stage in read_meta(folder)["setting"].get("stages", ()):
            found = seen(encoder, params, planes, jnp.asarray(stage))[0]
            check_all(folder, {f"codes_stage{stage}": found})
        latents = jaxinv.encode(x, (encoder, params), generator=held.generator)
        rows = np.asarray(jaxinv_rows(latents, gen.spec.rows))
        drawn = jaxinv.render(gen, weights, latents)
        pooled = jax.vmap(lambda one: fitted(encoder.spec, one, "pool"))(drawn)
        check_all(
            folder,
            {
                "latents_final": rows,
                "latents_plus_avg": rows,
                "image": chw(drawn),
                "image_pool256": chw(pooled),
            },
        )


def jaxinv_rows(latents: Mapping[str, Any], rows: int) -> Any:
    """Codes [n, rows, width], of w as often as there are rows."""
    return latents["w+"] if "w+" in latents else np.repeat(latents["w"][:, None], rows, 1)


def check_feedback(folder: Path) -> None:
    """ReStyle: the average picture, the first pass layer by layer, and as many passes as it has."""
    x = pictures(inputs(folder)["x"])
    with converted(folder) as held:
        encoder, params, (gen, weights) = held
        passes = read_meta(folder)["setting"]["n_iters"]
        assert encoder.spec.passes == passes
        latents = jax.tree.map(lambda leaf: leaf[None], rollouts.base(encoder.spec, params))
        average = jax.vmap(lambda one: fitted(encoder.spec, one, "pool"))(
            jaxinv.render(gen, weights, latents)
        )
        check_all(folder, {"avg_image": chw(average)[0]})
        planes = jax.vmap(lambda one: planes_of(encoder.spec, Sample(image=one), average[0]))(x)
        code, layers = seen(encoder, params, planes, None)
        check_all(folder, layers_of(layers) | {"codes_pass1_residual": code})
        stages = [n.removeprefix("codes_pass1_stage") for n in read_meta(folder)["io"]]
        for stage in filter(str.isdigit, stages):
            found = seen(encoder, params, planes, jnp.asarray(int(stage)))[0]
            check_all(folder, {f"codes_pass1_stage{stage}": found})
        for count in range(1, passes + 1):
            latents = jaxinv.encode(x, (encoder, params), generator=held.generator, passes=count)
            drawn = chw(jaxinv.render(gen, weights, latents))
            check_all(folder, {f"latent_pass{count}": latents["w+"], f"image_pass{count}": drawn})


def check_aging(folder: Path) -> None:
    """SAM: an age beside the picture, added to the code of a frozen pSp."""
    x, setting = pictures(inputs(folder)["img"]), read_meta(folder)["setting"]
    ages = np.asarray(setting["ages"], np.float32) / np.float32(100)
    with converted(folder) as held:
        encoder, params, (gen, weights) = held
        planes = jax.vmap(
            lambda one, age: planes_of(encoder.spec, Sample(image=one, attribute=age), None)
        )(x, ages)
        code, layers = seen(encoder, params, planes, None)
        check_all(folder, layers_of(layers) | {"codes_residual": code})
        if encoder.before is not None:
            frozen = seen(encoder.before, params["before"], x, None)[0]
            check_all(folder, {"codes_pretrained": frozen})
        latents = jaxinv.encode(
            x, (encoder, params), generator=held.generator, attribute=[float(age) for age in ages]
        )
        drawn = jaxinv.render(gen, weights, latents)
        check_all(folder, {"latents_final": latents["w+"], "image": chw(drawn)})


def check_stages(folder: Path) -> None:
    """E2Style: a first encoder, and one that refines, each with weights of its own."""
    given = {name: pictures(x) for name, x in inputs(folder).items()}
    with converted(folder) as held:
        refine, params, _ = held
        first = refine.before
        assert first is not None
        code, layers = seen(first, params["before"], given["x"], None)
        check_all(folder, layers_of(layers) | {"first_codes": code})
        both = np.concatenate([given["x3"], given["previous_image"]], -1)
        check_all(folder, {"refine_codes": seen(refine, params, both, None)[0]})


RANGER = SolverSpec("ranger", 1e-4, options=(("b1", 0.95), ("eps", 1e-5), ("centralize", 1)))


def check_container(folder: Path) -> None:
    """Files of torch itself: what they hold, what they lack, and eight steps of Ranger."""
    arrays = tensors(folder)
    held = {name: array for name, array in arrays.items() if not name.startswith("discriminator")}
    for file in sorted(folder.glob("*.pt")):
        tree = read_checkpoint(file).tree
        assert_equal(tree[AVERAGE], held[AVERAGE])
        for name, array in tree["state_dict"].items():
            assert_equal(array, held[name])
        for name, array in tree.get("discriminator_state_dict", {}).items():
            # Adam has made one step there, of its rate.
            start = arrays[f"discriminator_state_dict.{name}"]
            np.testing.assert_allclose(np.abs(array - start), 2e-5, atol=1e-8)
        with tempfile.TemporaryDirectory() as place:
            with pytest.raises(
                UnsafeFileError, match=r"lacks \d+ arrays of the encoder: encoder\."
            ):
                convert(file, out=Path(place, "encoder.safetensors"))
            assert not list(Path(place).iterdir())
    check_ranger(folder, list(held.items())[:3])


def check_ranger(folder: Path, values: list[tuple[str, np.ndarray]]) -> None:
    """Steps from the values of three arrays with gradients by rule, kernels turned as ours are."""
    seed, solver = read_meta(folder)["seed"], build_solver(RANGER)
    state = solver.init({name: jnp.asarray(turned(array)) for name, array in values})
    for step in range(8):
        slopes = {
            name: turned(draw(f"grad{step}.{i}", array.shape, seed))
            for i, (name, array) in enumerate(values)
        }

        def slope(u: Any, key: Any, slopes: dict[str, np.ndarray] = slopes) -> Any:
            del key
            return sum(jnp.sum(u[name] * one) for name, one in slopes.items()), {}

        state = solver.step(jax.random.key(0), slope, state, jnp.zeros(()))[0]
        found = {f"ranger_step{step + 1}.{n}": turned(u, back=True) for n, u in state.u.items()}
        check_all(folder, found)


def turned(array: Any, *, back: bool = False) -> np.ndarray:
    """A kernel [out, in, h, w] as [h, w, in, out], or `back`; other arrays as they are."""
    order = (3, 2, 0, 1) if back else (2, 3, 1, 0)
    return np.asarray(array).transpose(order) if np.ndim(array) == 4 else np.asarray(array)


CHECKS = {
    **dict.fromkeys(("psp-gradual", "psp-w", "psp-wplus", "e4e"), check_single),
    **dict.fromkeys(
        (
            *("restyle-psp-irse50", "restyle-psp-resnet34", "restyle-psp-fpn-resnet34"),
            *("restyle-e4e-irse50", "restyle-e4e-resnet34"),
        ),
        check_feedback,
    ),
    "sam-aging": check_aging,
    "e2style": check_stages,
}
CHECKS: dict[str, Check] = {name: pytest.mark.slow(check) for name, check in CHECKS.items()}
CHECKS["container-e4e"] = check_container
