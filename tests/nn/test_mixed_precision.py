"""Networks with kernels in bfloat16: close to float32, and float32 itself untouched."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.inversion.invert import invert
from jaxinv.models.features.backbones import NETS
from jaxinv.nn.conv import BACKWARD_KERNELS
from jaxinv.nn.mixed_precision import cast_params
from jaxinv.specs import Preset, SolverSpec, Stage, Term, Variable
from jaxinv.specs.vocabulary import PRECISIONS
from jaxinv.types import Array, Latents, Params
from tests import tiny
from tests.nn.test_nn import normal
from tests.tiers import mostly_slow

pytestmark = pytest.mark.usefixtures("quick_compilation")
EVERY = {
    "mobilestylegan": lambda: tiny.mobile(tiny.SMALL),
    "stylegan1": tiny.old,
    "stylegan2": tiny.style,
    "stylegan3": tiny.third,
    "pggan": tiny.grown,
    "biggan": tiny.classes,
    "dcgan": tiny.chain,
}


@pytest.mark.parametrize("name", mostly_slow(EVERY, ("mobilestylegan", "stylegan2", "biggan")))
def test_narrow_generators_draw_nearly_the_same(name: str) -> None:
    gen, params = EVERY[name]()
    z = normal(0, gen.spec.z_dim)
    rest: Latents = {"label": jnp.eye(gen.spec.labels)[1]} if gen.spec.labels else {}

    @jax.jit
    def draw(params: Params, z: Array) -> tuple[Array, Array]:
        image, pull = jax.vjp(lambda z: gen.synthesize(params, {"z": z, **rest}), z)
        return image, pull(jnp.ones_like(image))[0]

    wide, _ = draw(params, z)
    narrow, gradient = draw(cast_params(params, "bfloat16"), z)
    assert narrow.dtype == gradient.dtype == jnp.float32
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient)
    gap = np.sqrt(np.mean(np.square(narrow - wide))) / np.ptp(wide)
    assert 0 < gap < 2e-2


@pytest.mark.parametrize("name", EVERY)
def test_activations_are_as_narrow_as_their_kernels(name: str) -> None:
    gen, params = EVERY[name]()
    latents: Latents = {"z": jnp.ones(gen.spec.z_dim)}
    latents |= {"label": jnp.eye(gen.spec.labels)[1]} if gen.spec.labels else {}
    found = jax.eval_shape(gen.features, cast_params(params, "bfloat16"), latents)
    assert any(state["x"].dtype == jnp.bfloat16 for state in found.values())


@pytest.mark.parametrize("name", mostly_slow(NETS, ("alexnet",)))
def test_narrow_features_are_nearly_the_same(name: str) -> None:
    net = NETS[name]
    params = net.init(jax.random.key(0))
    image = jnp.tanh(normal(1, 64, 64, 3))

    @jax.jit
    def run(params: Params, image: Array) -> tuple[Array, Array]:
        last, pull = jax.vjp(lambda image: net.taps(params, image)[net.lpips[-1]], image)
        return last, pull(jnp.ones_like(last))[0]

    wide, _ = run(params, image)
    narrow, gradient = run(cast_params(params, "bfloat16"), image)
    assert narrow.dtype == gradient.dtype == jnp.float32
    assert np.all(np.isfinite(gradient))
    assert 0 < np.max(np.abs(narrow - wide)) < 2e-2 * np.ptp(wide)


def test_kernels_and_their_transposes_go_together_and_float32_stays() -> None:
    _, params = tiny.style()
    layer, frozen = (tree["synthesis"]["b8_conv0"] for tree in (params, params[BACKWARD_KERNELS]))
    cast = cast_params(params, "bfloat16")
    narrow, back = (tree["synthesis"]["b8_conv0"] for tree in (cast, cast[BACKWARD_KERNELS]))
    assert narrow["kernel"].dtype == back["backward"].dtype == jnp.bfloat16
    assert narrow["style"]["kernel"] is layer["style"]["kernel"]
    assert back["energy"] is frozen["energy"]
    assert cast["synthesis"]["b16_torgb"] == params["synthesis"]["b16_torgb"]
    same = jax.tree.map(np.array_equal, cast_params(params, "float32"), params)
    assert all(jax.tree.leaves(same))


def test_narrow_searches_go_where_wide_ones_go() -> None:
    gen, params = tiny.style()
    images = tiny.draw(tiny.style(), 3, 2)
    stage = Stage((Variable("w"),), (Term("mse"),), 20, SolverSpec("lbfgs", 0.05))
    narrow, wide = (
        invert(gen, params, images, preset=Preset("p", (stage,), "", ""), precision=dtype)
        for dtype in PRECISIONS[::-1]
    )
    assert narrow.latents["w"].dtype == np.float32
    assert np.any(narrow.losses != wide.losses)
    np.testing.assert_allclose(narrow.losses[..., 0], wide.losses[..., 0], rtol=0.05)
    assert np.all(narrow.loss < 0.8 * narrow.losses[:, 0, 0])


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="'int8'; allowed: float32, bfloat16"):
        cast_params({}, "int8")
    pair, black = tiny.style(), np.zeros((1, 16, 16, 3), np.float32)
    with pytest.raises(ValueError, match="'float16'; allowed: float32, bfloat16"):
        invert(*pair, black, preset="creswell", precision="float16")
