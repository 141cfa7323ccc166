"""Files as users bring them: generators that are wrapped, prefixed, alone or saved whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.cli.console import USAGE
from jaxinv.cli.main import main
from jaxinv.io.checkpoints import read_metadata, read_spec
from jaxinv.latents.sampling import sample_latents
from jaxinv.models.loading import load_generator
from jaxinv.models.rendering import render
from tests import torchlike as torch
from tests.foreign import NAMINGS, arrays_of, network, same
from tests.fuzz import watched
from tests.tiers import mostly_slow
from tests.weights import SHARED
from weights_convert import UnsafeFileError, convert, sources
from weights_convert.networks import stylegan2
from weights_convert.sources import containers

FAULTS = SHARED / "data" / "faults"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("jaxinv.models.loading.use_compilation_cache", lambda: None)
    return tmp_path / "cache"


def fault(name: str) -> Path:
    path = FAULTS / name
    if not path.is_file():
        pytest.skip("needs shared/data/faults (set JAXINV_SHARED)")
    return path


# --- the files of the table -----------------------------------------------------------------------

ROSINALITY = {"resolution": 32, "z_dim": 24, "w_dim": 24, "rows": 8}
NVLABS = {"resolution": 64, "z_dim": 24, "w_dim": 40, "rows": 10}
CONVERTED: dict[str, tuple[dict[str, int], str]] = {
    "ros_old_no_noises.pt": (ROSINALITY, "no noise maps: drawn with seed 0"),
    "nv_layer_features64.pkl": (NVLABS, ""),
    "tf_mapping_fmaps40.pkl": (ROSINALITY | {"labels": 3}, ""),
    "psp_ffhq_encode.pt": (
        ROSINALITY,
        r"'state_dict/decoder' .* latent_avg \[8, 24\], opts, encoder\.\* \(2 arrays\)",
    ),
    "pti_model_MWVZTEZFDDJB_1.pt": (NVLABS, ""),
    "nv_sd_origmod.pt": (NVLABS, ""),
    "nv_sd_wrapped.pt": (NVLABS, "'G_ema' of the file, which also holds: step, opt"),
    "ros_bare_statedict.pt": (ROSINALITY, ""),
    "tf_only_gs.pkl": (ROSINALITY | {"labels": 3}, ""),
    "nv_gray.pkl": (NVLABS, ""),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_a_file_of_another_tool_is_converted(name: str) -> None:
    facts, told = CONVERTED[name]
    notes: list[str] = []
    path = convert(fault(name), name="found", report=notes.append)
    spec = read_spec(read_metadata(path))
    assert {field: getattr(spec, field) for field in facts} == facts
    assert len(notes) == bool(told)
    assert read_metadata(path).get("notes", "") == "".join(notes)
    assert re.search(told, "".join(notes))


@pytest.mark.parametrize("name", mostly_slow(CONVERTED, ["nv_gray.pkl"]))
def test_a_converted_file_of_another_tool_draws(name: str) -> None:
    convert(fault(name), name="found")
    gen, params = load_generator("found")
    label = 0 if gen.spec.labels else None
    image = render(gen, params, sample_latents(gen, params, 1, label=label))[0]
    assert image.shape == (gen.spec.resolution, gen.spec.resolution, 3)
    assert np.isfinite(image).all()
    assert image.std() > 0
    assert (np.ptp(image, -1).max() == 0) == (name == "nv_gray.pkl")


REFUSED = {
    "nv_rgba.pkl": r"pkl \(pickle\): found StyleGAN2, NVlabs torch: .* of 4 channels; supported: 1",
    "nv_human_nonsquare.pkl": r"constant of 4 x 2 pixels \(height x width\); supported: 4 x 4",
    "e4e_latents.pt": r"holds one array \[1, 18, 512\]; latent codes are drawn by `jaxinv render",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(fault(name)), "--name", "found"]) == USAGE
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert re.search(REFUSED[name], said)


# --- where a generator may lie --------------------------------------------------------------------


def prefixed(arrays: dict[str, np.ndarray], *prefixes: str) -> dict[str, np.ndarray]:
    return {"".join(prefixes) + name: array for name, array in arrays.items()}


ENCODER = {"encoder.body.0.weight": np.ones((2, 3), np.float32)}
WRAPPED: dict[str, Callable[[dict[str, np.ndarray]], Any]] = {
    "bare": lambda held: held,
    "G_ema": lambda held: {"G_ema": held, "step": 3},
    "g_ema beside g": lambda held: {"g": prefixed(held, "x."), "g_ema": held},
    "params": lambda held: {"params": held, "epoch": 3},
    "state_dict of a model": lambda held: {"model": {"state_dict": held}, "optimizer": {"a": 1}},
    "decoder": lambda held: {"state_dict": prefixed(held, "decoder.") | ENCODER, "opts": {"a": 1}},
    "generator of a trainer": lambda held: {
        "state_dict": prefixed(held, "generator.") | prefixed(ENCODER, "discriminator.")
    },
    "averaged one of two": lambda held: {
        "state_dict": prefixed({n: a + 1 for n, a in held.items()}, "G.") | prefixed(held, "G_ema.")
    },
    "tuple": lambda held: ({"step": 3}, {"state_dict": held}),
    "module.": lambda held: prefixed(held, "module."),
    "_orig_mod.": lambda held: prefixed(held, "_orig_mod."),
    "module._orig_mod.": lambda held: prefixed(held, "module._orig_mod."),
    "_orig_mod.module.": lambda held: prefixed(held, "_orig_mod.module."),
    "module.module._orig_mod.": lambda held: {"g_ema": prefixed(held, "module.module._orig_mod.")},
    "decoder.module.": lambda held: {"state_dict": prefixed(held, "decoder.module.") | ENCODER},
    "module.decoder._orig_mod.": lambda held: prefixed(held, "module.decoder._orig_mod."),
    "a part compiled": lambda held: {
        name.replace("synthesis.", "synthesis._orig_mod."): array for name, array in held.items()
    },
}


@pytest.mark.parametrize("source", ["nvlabs", "rosinality", "genforce"])
@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_state_dict_is_found_wherever_it_lies(wrapping: str, source: str) -> None:
    held = arrays_of(source)
    plain, _ = stylegan2.convert(held, NAMINGS[source])
    found = sources.convert(WRAPPED[wrapping](held))
    same(found.params, plain)


def test_the_average_beside_a_generator_is_its_own() -> None:
    held = arrays_of("rosinality")
    average = held.pop("latent_avg")
    tree = {"state_dict": prefixed(held, "decoder."), "latent_avg": np.tile(average, (6, 1))}
    found = sources.convert(tree)
    np.testing.assert_array_equal(found.params["mapping"]["average"], average)
    assert found.notes == (
        "the generator is 'state_dict/decoder' of the file, which also holds: latent_avg [6, 8]",
    )


def test_two_arrays_that_would_become_one_are_refused() -> None:
    held = arrays_of()
    with pytest.raises(UnsafeFileError, match=r"two arrays are called 'mapping\.fc0\.bias'"):
        sources.convert(held | {"module.mapping.fc0.bias": held["mapping.fc0.bias"]})


@pytest.mark.parametrize(
    "tree",
    [
        {"encoder": {"0.weight": np.ones((64, 4), np.float32), "0.bias": np.ones(64, np.float32)}},
        {"D": {"synthesis.b4.const": np.ones((2, 4, 4), np.float32)}},
        {"optimizer": {"g_ema": {}}, "args": {"class": "Namespace", "lr": 0.1}},
    ],
)
def test_what_is_no_generator_is_not_taken_for_one(tree: Any) -> None:
    with pytest.raises(UnsafeFileError, match="no known generator"):
        sources.convert(tree)


def test_errors_name_what_was_found_and_formats_are_listed_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = ENCODER | {name: np.ones(4, np.float32) for name in ("latent_avg", "\x1b[31m.bias")}
    file = tmp_path / "encoder.pt"
    file.write_bytes(torch.zip_file(torch.state_dict(arrays), arrays))
    assert main(["convert", str(file)]) == USAGE
    said = capsys.readouterr().err
    told = "encoder.pt (torch zip): no known generator or net in the file: it holds encoder.* (1"
    assert told in said
    assert "latent_avg [4]" in said
    assert "\x1b" not in said
    assert "StyleGAN2" not in said
    with pytest.raises(SystemExit) as left:
        main(["convert", "--formats"])
    listed = capsys.readouterr().out.splitlines()
    assert left.value.code == 0
    assert {source.name for source in sources.SOURCES} <= set(listed)


def tf_network(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {"class": "Network", "variables": list(arrays.items()), "components": {}}


@pytest.mark.parametrize("wrapping", ["alone", "of three", "of two", "by name"])
def test_the_averaged_network_of_tensorflow_is_enough(wrapping: str) -> None:
    averaged = tf_network(arrays_of("tensorflow"))
    young = tf_network({n: a + 1 for n, a in arrays_of("tensorflow").items()})
    trees = {
        "alone": averaged,
        "of three": (young, {"class": "Network", "variables": []}, averaged),
        "of two": (young, averaged),
        "by name": {"G": young, "Gs": averaged},
    }
    same(sources.convert(trees[wrapping]).params, network()[1], rtol=1e-5, atol=1e-6)


# --- whole modules --------------------------------------------------------------------------------


def whole_module(arrays: dict[str, np.ndarray], kind: str = "Generator") -> tuple[bytes, list[Any]]:
    """Opcodes of NVlabs' module as torch.save writes it, and its arrays by the storages' keys."""
    stored: list[np.ndarray] = []

    def module(name: str, held: dict[str, np.ndarray]) -> bytes:
        parts: dict[str, dict[str, np.ndarray]] = {}
        own = b""
        for label, array in held.items():
            first, dot, rest = label.partition(".")
            if dot:
                parts.setdefault(first, {})[rest] = array
            else:
                own += torch.value(label) + torch.tensor(array, str(len(stored)))
                stored.append(array)
        inner = b"".join(torch.value(part) + module(part, parts[part]) for part in parts)
        names = torch.name("__builtin__", "set") + torch.value(["w"]) + b"\x85R"
        state = b"}(" + torch.value("_parameters") + b"}(" + own + b"u"
        state += torch.value("_modules") + b"}(" + inner + b"u"
        state += torch.value("_non_persistent_buffers_set") + names + b"u"
        return torch.module(name, state)

    return module(kind, arrays), stored


WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "the module": lambda body: body,
    "beside a number": lambda body: (
        b"}(" + torch.value("G_ema") + body + torch.value("step") + torch.value(3) + b"u"
    ),
    "in a tuple": lambda body: b"}" + body + b"\x86",
}


@pytest.mark.parametrize("layout", ["zip", "legacy"])
@pytest.mark.parametrize("case", WHOLE)
def test_a_module_saved_whole_is_read_and_never_run(case: str, layout: str, tmp_path: Path) -> None:
    body, stored = whole_module(arrays_of())
    writer = torch.zip_file if layout == "zip" else torch.legacy_file
    data = writer(WHOLE[case](body), {str(i): array for i, array in enumerate(stored)})
    (tmp_path / "model.pt").write_bytes(data)
    with watched() as events:
        tree = containers.parse(data).tree
    assert events == []
    assert "SystemExit" not in repr(tree)
    assert b"SystemExit" in data
    found = sources.convert(tree)
    assert found.source == "StyleGAN2, NVlabs torch"
    same(found.params, network()[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("argument", [torch.value({"a": 1}), torch.value("os"), b"]]\x86"])
def test_a_set_is_made_of_a_list_alone(argument: bytes) -> None:
    body = (
        torch.name("builtins", "set") + argument + (b"\x85R" if argument[-1:] != b"\x86" else b"R")
    )
    with pytest.raises(UnsafeFileError, match="set of something other than a list"):
        containers.parse(torch.zip_file(body, {}))
