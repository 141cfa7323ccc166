"""What applications are given wrongly is said in one sentence, before any search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxinv.applications.adversarial_defense import fgsm, pgd
from jaxinv.cli.console import SOME_FAILED, USAGE
from jaxinv.cli.main import main
from jaxinv.inversion import invert as search
from jaxinv.inversion.invert import invert
from jaxinv.io import images
from jaxinv.io.animations import encode_animation
from jaxinv.specs import MaskSpec, Term, Variable
from jaxinv.specs.serialization import to_json
from tests.engine import one, preset, targets
from tests.offline import go_offline, read_results, write_photos
from tests.tiny import style

SIDE = 32
TWO = preset(
    one(
        Variable("w"),
        terms=(Term("mse", mask="inside"), Term("mse", mask="not inside", target="other")),
        steps=2,
    ),
    masks=(MaskSpec("inside"),),
)


@pytest.fixture
def offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the small generator "tiny" alone."""
    return go_offline(tmp_path_factory.getbasetemp(), monkeypatch)


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gets as far as a search fails."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a search began")

    monkeypatch.setattr(search, "run_stages", refuse)


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize(
    ("inside", "other", "words"),
    [
        (np.ones, 1.0, "mask 'inside' is 1 everywhere; allowed: some pixels below 1"),
        (np.zeros, 1.0, "mask 'inside' is 0 everywhere; allowed: some above 0"),
        (None, 0.5, "image 'other' has shape"),
    ],
)
def test_masks_of_all_and_nothing_and_pictures_of_two_sizes(
    inside: Any, other: float, words: str
) -> None:
    gen, params = style()
    given = targets(1)
    side = given.shape[1]
    mask = np.linspace(0, 1, side * side).reshape(1, side, side)
    small = int(side * other)
    with pytest.raises(ValueError, match=words):
        invert(
            *(gen, params, given),
            preset=TWO,
            named_images={"other": given[:, :small, :small]},
            named_masks={"inside": mask if inside is None else inside((1, side, side))},
        )


@pytest.mark.usefixtures("offline")
def test_a_picture_of_another_shape_costs_its_photo_alone(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", ["a.png", "b.png"])
    write_photos(tmp_path / "others", ["a.png"])
    wide = np.zeros((SIDE, SIDE + 8, 3), np.uint8)
    (tmp_path / "others" / "b.png").write_bytes(images.encode_png(wide))
    half = np.zeros((SIDE, SIDE), np.uint8)
    half[:, : SIDE // 2] = 255
    (tmp_path / "half.png").write_bytes(images.encode_png(half))
    (tmp_path / "two.json").write_text(to_json(TWO))
    named = ("--named-image", f"other={tmp_path / 'others'}")
    named += ("--named-mask", f"inside={tmp_path / 'half.png'}")
    command = ("invert", tmp_path / "in", "-o", tmp_path / "out", "-g", "tiny")
    assert run(*command, "-p", tmp_path / "two.json", *named) == SOME_FAILED
    found = {line["name"]: line for line in read_results(tmp_path / "out")}
    assert found["a"]["status"] == "ok"
    assert f"has {SIDE + 8}x{SIDE} px; allowed: the shape of the photo" in found["b"]["reason"]


@pytest.mark.usefixtures("offline", "no_search")
def test_nothing_to_fill_in_costs_its_picture_alone(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", ["a.png", "b.png"])
    for name in "ab":
        path = tmp_path / "masks" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(images.encode_png(np.zeros((SIDE, SIDE), np.uint8)))
    command = ("inpaint", tmp_path / "in", "-o", tmp_path / "out", "-g", "tiny")
    assert run(*command, "--mask", tmp_path / "masks") != 0
    reasons = {line["name"]: line["reason"] for line in read_results(tmp_path / "out")}
    assert set(reasons) == {"a", "b"}
    assert all("its mask is black everywhere" in reason for reason in reasons.values())


@pytest.mark.usefixtures("offline", "no_search")
@pytest.mark.parametrize(
    ("photos", "own", "words"),
    [
        (["a.png"], (), "in: 1; allowed: at least 2"),
        (["a.png", "b.png"], ("-p", "w+"), "preset 'w+' shares no weights among photographs"),
        (["a.png", "b.png"], ("--limit", "1"), "in: 1; allowed: at least 2"),
    ],
)
def test_a_person_needs_two_photographs_and_weights_that_they_share(
    photos: list[str],
    own: tuple[str, ...],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_photos(tmp_path / "in", photos)
    named = ("-o", tmp_path / "out", "-g", "tiny", "--name", "anna")
    assert run("personalize", tmp_path / "in", *named, *own) == USAGE
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("offline", "no_search")
def test_frames_of_two_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "clip.gif"
    clip.write_bytes(encode_animation([np.zeros((SIDE, SIDE, 3), np.uint8)] * 2, "gif", seconds=1))
    command = ("video", clip, "-o", tmp_path / "out", "-g", "tiny", "-p", "w+")
    assert run(*command, "-d", "age") == USAGE
    assert "0 amounts for 1 directions; allowed: one for each" in capsys.readouterr().err
    clip.write_bytes(b"GIF89a")
    assert run(*command) == USAGE
    assert "clip.gif" in capsys.readouterr().err


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_classes_that_do_not_exist(attack: Any) -> None:
    pictures = np.zeros((2, 4, 4, 3), np.float32)

    def classify(seen: Any) -> Any:
        return seen.reshape(len(seen), -1)[:, :3]

    for label in (3, -1):
        with pytest.raises(ValueError, match=f"label {label}; allowed: 0 to 2"):
            attack(classify, pictures, [0, label], 0.1)
    with pytest.raises(ValueError, match=r"classify gives \[2, 4, 4, 3\]; allowed: logits"):
        attack(lambda seen: seen, pictures, [0, 1], 0.1)
