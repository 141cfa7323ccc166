"""Sizes of foreign networks: hidden widths, missing noise, channels of images, constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxinv.types import Params
from tests.foreign import NAMINGS, NARROW, arrays_of, network, same
from tests.tiny import STYLE, mobile
from tests.weights_convert import test_stylegan1_rosinality as first_port
from tests.weights_convert.test_export import THIRD
from weights_convert import UnsafeFileError, sources
from weights_convert.networks import stylegan2, stylegan3
from weights_convert.networks.layouts import NOISE_SEED

# --- widths, noise, channels, constants -----------------------------------------------------------


@pytest.mark.parametrize("source", NAMINGS)
def test_hidden_widths_of_a_mapping_come_from_its_arrays(source: str) -> None:
    gen, params = network(NARROW)
    found, facts = stylegan2.convert(arrays_of(source, NARROW), NAMINGS[source])
    same(found, params, rtol=1e-5, atol=1e-6)
    assert dict(facts["facts"])["mapping_widths"] == [5, 11]
    shapes = [found["mapping"][f"fc{i}"]["kernel"].shape for i in range(3)]
    assert shapes == [(8, 5), (5, 11), (11, 8)]
    z = np.random.default_rng(0).standard_normal(8).astype(np.float32)
    np.testing.assert_allclose(gen.map(params, z), by_hand(z, params["mapping"]), rtol=1e-4)


def by_hand(z: np.ndarray, mapping: Params) -> np.ndarray:
    x = z / np.sqrt(np.mean(z**2) + 1e-8)
    for name in sorted(name for name in mapping if name.startswith("fc")):
        y = x @ np.asarray(mapping[name]["kernel"]) + np.asarray(mapping[name]["bias"])
        x = np.sqrt(2) * np.maximum(y, 0.2 * y)
    return x


def test_hidden_widths_of_stylegan3_come_from_its_arrays() -> None:
    facts = (*(fact for fact in THIRD.facts if fact[0] != "mapping_layers"), ("mapping_layers", 3))
    spec = replace(THIRD, facts=(*facts, ("mapping_widths", (9, 5))))
    params = network(spec)[1]
    for layer in params["synthesis"].values():
        if "kernel" in layer and layer["kernel"].shape[0] == 3:  # files hold them normalised
            layer["kernel"] = layer["kernel"] / np.sqrt(np.mean(layer["kernel"] ** 2, (0, 1, 2)))
    found = sources.convert(stylegan3.export(params, spec))
    assert dict(found.facts["facts"])["mapping_widths"] == [9, 5]
    same(found.params["mapping"], params["mapping"], rtol=1e-5, atol=1e-6)


def test_hidden_widths_of_the_first_port_come_from_its_arrays() -> None:
    arrays = dict(first_port.network())
    size = first_port.SIZE
    arrays["style.1.linear.weight_orig"] = np.ones((size + 3, size), np.float32)
    arrays["style.1.linear.bias"] = np.ones(size + 3, np.float32)
    arrays["style.3.linear.weight_orig"] = np.ones((size, size + 3), np.float32)
    found = sources.convert(arrays)
    hidden = dict(found.facts["facts"])["mapping_widths"]
    assert hidden[0] == size + 3
    assert found.params["mapping"]["fc1"]["kernel"].shape == (size + 3, size)


def test_another_number_of_hidden_widths_is_refused() -> None:
    with pytest.raises(ValueError, match="1 mapping_widths; allowed: 2"):
        mobile(replace(STYLE, facts=(("mapping_layers", 3), ("mapping_widths", (5,)))))


@pytest.mark.parametrize("source", NAMINGS)
def test_a_file_without_noise_maps_gets_the_same_ones_every_time(source: str) -> None:
    names = NAMINGS[source]
    held = {n: a for n, a in arrays_of(source).items() if n not in map(names.noise, range(5))}
    params, facts = stylegan2.convert(held, names)
    assert dict(facts["facts"])["noise_seed"] == NOISE_SEED
    same(params, stylegan2.convert(held, names)[0])
    maps = [params["synthesis"][f"b{side}_conv1"]["noise"] for side in (4, 8, 16)]
    assert [one.shape for one in maps] == [(4, 4), (8, 8), (16, 16)]
    assert 0.5 < np.mean(maps[2] ** 2) < 2
    assert not np.array_equal(maps[1], params["synthesis"]["b8_conv0"]["noise"])


def with_channels(source: str, count: int) -> dict[str, np.ndarray]:
    """The arrays with images of `count` channels, each equal to the red one."""
    names, held = NAMINGS[source], arrays_of(source)
    for j in range(3):
        for end in (names.image_kernel, names.image_bias):
            name = names.image(j) + end
            axis = held[name].shape.index(3)
            held[name] = np.repeat(held[name].take([0], axis), count, axis)
    return held


@pytest.mark.parametrize("source", NAMINGS)
def test_grey_images_are_three_equal_channels(source: str) -> None:
    grey, colour = (stylegan2.convert(with_channels(source, n), NAMINGS[source])[0] for n in (1, 3))
    same(grey, colour)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("source", NAMINGS)
def test_images_of_other_channels_are_refused_by_a_sentence(source: str, count: int) -> None:
    told = rf"draws images of {count} channels; supported: 1 \(grey\) and 3"
    with pytest.raises(UnsafeFileError, match=told):
        stylegan2.convert(with_channels(source, count), NAMINGS[source])


@pytest.mark.parametrize("sides", [(4, 2), (2, 4), (8, 8)])
@pytest.mark.parametrize("source", NAMINGS)
def test_constants_of_other_sides_are_refused_by_a_sentence(
    source: str, sides: tuple[int, int]
) -> None:
    names, held = NAMINGS[source], arrays_of(source)
    const = held[names.const]
    held[names.const] = np.ones((*const.shape[:-2], *sides), np.float32)
    told = rf"constant of {sides[0]} x {sides[1]} pixels \(height x width\); supported: 4 x 4"
    with pytest.raises(UnsafeFileError, match=told):
        stylegan2.convert(held, names)


@pytest.mark.parametrize("source", NAMINGS)
def test_a_grey_bias_of_coloured_weights_is_refused(source: str) -> None:
    names, held = NAMINGS[source], arrays_of(source)
    name = names.image(2) + names.image_bias
    held[name] = with_channels(source, 1)[name]
    with pytest.raises(UnsafeFileError, match=r"\[1, 3\] channels at once"):
        stylegan2.convert(held, names)
