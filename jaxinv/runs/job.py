"""What stays the same for all files of a run: generator, weights, preset, and the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxinv.encoders.encoding import as_loaded, check_given, check_owner
from jaxinv.encoders.starts import encoder_name, find_start, sees_masks
from jaxinv.inversion.arguments import batch_for, check_labels
from jaxinv.inversion.batch import batches_given
from jaxinv.inversion.compatibility import check_preset
from jaxinv.inversion.memory import MOST
from jaxinv.inversion.preset_adaptation import adapt_preset
from jaxinv.inversion.presets import with_steps
from jaxinv.inversion.statistics import with_statistics
from jaxinv.io.checkpoints import stored_spec
from jaxinv.io.face_alignment import check_mode
from jaxinv.metrics.sample_texture import sample_texture
from jaxinv.models.joint_embedding import CLIP, check_text, clip_embedding, embed_texts
from jaxinv.models.loading import load_features, load_generator
from jaxinv.runs.encoding import VERB
from jaxinv.runs.inputs import FROM_DATA, classes_tried
from jaxinv.runs.manifest import Manifest, manifest_for
from jaxinv.runs.observations import MIN_NOISE, ObservationModel, check_operator, loss_size
from jaxinv.specs import read_operator
from jaxinv.specs.vocabulary import CONVERTED_NETS, TEXT

if TYPE_CHECKING:
    from jaxinv.encoders.encoding import Drawing, Loaded
    from jaxinv.metrics.sample_texture import Texture
    from jaxinv.models.generators.base import Generator
    from jaxinv.runs.observations import Observation
    from jaxinv.runs.request import Request
    from jaxinv.specs import Preset
    from jaxinv.types import Params


@dataclass(frozen=True)
class Job:
    """Everything that stays the same for all files of a run."""

    manifest: Manifest
    gen: Generator
    params: Params
    nets: dict[str, Params]
    observation_model: ObservationModel
    encoder: Loaded | None = None
    vectors: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    prepared_params: dict[tuple[str, ...], Params] = field(
        default_factory=dict[tuple[str, ...], "Params"]
    )

    @cached_property
    def texture(self) -> Texture | None:
        """Of the generator's own samples, once a first picture is scored; see `sample_texture`."""
        return sample_texture(self.gen, self.params)


def prepare_job(request: Request, preset: Preset) -> Job:
    """Make folders, load weights, and write down all that is needed to repeat the run."""
    preset = with_steps(preset, request.steps)
    if request.operator is not None:
        preset = replace(preset, operator=read_operator(request.operator))
    check_mode(request.align)
    masks = {mask.name for mask in preset.masks if mask.source == "given"}
    for option, places, wanted in (
        ("--named-mask", request.mask_places, masks),
        ("--named-image", request.image_places, set(preset.targets) - {TEXT}),
    ):
        if set(places) != wanted:
            given, allowed = (", ".join(sorted(names)) for names in (places, wanted))
            raise ValueError(
                f"{option} of {given or 'none'}; preset {preset.name!r} takes {allowed or 'none'}"
            )
    check_text_of(request, preset)
    held = {variable.space for stage in preset.stages for variable in stage.variables}
    if request.export and not held & {"w", "w+"}:
        raise ValueError(
            f"--export {request.export[0]} needs latents w or w+; found: {sorted(held)}"
        )
    spec = stored_spec(request.generator)
    label = 0 if request.label in (None, FROM_DATA) else request.label
    labels = None if request.label is None else [classes_tried(label, spec.labels)]
    check_labels(spec, preset, labels, 1)  # before W is measured
    converted = load_features(tuple(name for name in preset.nets if name in CONVERTED_NETS))
    gen, params = load_generator(request.generator)
    if request.size is not None and not 16 <= request.size <= gen.spec.resolution:
        raise ValueError(f"--size {request.size}; allowed: 16 to {gen.spec.resolution}")
    encoder = encoder_of(request, (gen, params))
    observation_model = ObservationModel(
        gen.spec.resolution,
        request.size,
        preset.operator,
        request.border,
        bool(request.simulate),
        request.discrepancy,
        gen.spec.labels,
        preset.regions,
    )
    usual = loss_size(0, request.size, gen.spec.resolution)
    noise = MIN_NOISE if isinstance(request.discrepancy, str) else request.discrepancy
    check_preset(gen.spec, adapt_preset(preset, (usual, usual, 3), noise), usual)
    if preset.operator is not None:
        check_operator(preset.operator, gen.spec.resolution, request.size)
    if request.align == "auto" and gen.spec.alignment == "none":
        request = replace(request, align="none")
    manifest = manifest_for(request, preset, gen.spec, encoder[1] if encoder else None)
    nets = load_features(tuple(n for n in manifest.nets_sha256 if n not in converted)) | converted
    vectors = {} if request.text is None else text_vectors(request.text, nets[CLIP])
    return Job(manifest, gen, params, nets, observation_model, encoder, vectors)


def check_one_process(preset: Preset, several: str) -> None:
    """Raise `ValueError` if `several` processes cannot do a run: what its images share is one."""
    if preset.shared:
        shared = sorted({name for stage in preset.stages for name in stage.shared})
        raise ValueError(
            f"{several} with preset {preset.name!r}, whose images share {', '.join(shared)}; "
            "allowed: one process, which has all of them"
        )


def check_text_of(request: Request, preset: Preset) -> None:
    """Raise `ValueError` unless there is a text where the preset compares with one, only there."""
    nets = {t.net for stage in preset.stages for t in stage.terms if t.target == TEXT}
    if (request.text is None) == bool(nets):
        given = "none" if request.text is None else repr(request.text)
        wanted = "some words" if nets else "none"
        raise ValueError(f"--text {given}; preset {preset.name!r} takes {wanted}")
    if nets:
        check_text("--text", request.text)
    if nets - {CLIP}:
        raise ValueError(
            f"preset {preset.name!r} looks for a text with {', '.join(sorted(map(str, nets)))}; "
            f"allowed: {CLIP}"
        )


def text_vectors(text: str, clip: Params) -> dict[str, np.ndarray]:
    """What a text is to terms that compare with it: its vector [n] in the space of CLIP."""
    return {TEXT: embed_texts(clip_embedding(clip), [text])[0]}


def encoder_of(request: Request, generator: Drawing) -> Loaded | None:
    """The encoder that a request names, if it does; `ValueError` unless it can look at pictures."""
    if request.init is None:
        return None
    if request.verb != VERB:
        return find_start(request.init, generator)
    loaded = as_loaded(encoder_name(request.init))
    check_owner(loaded[0].spec, *generator)
    masks = np.ones((1, 1, 1)) if sees_masks(loaded) else None
    check_given(loaded[0].spec, 1, masks, request.attribute, request.passes)
    return loaded


def read_ahead(job: Job, files: int) -> int:
    """Images that are read before any is searched for; `invert` may split them further."""
    batch, preset = job.manifest.request.batch, job.manifest.preset
    if isinstance(batch, int):
        return batch * batches_given(preset, batch)
    if preset.shared or batch is None or jax.default_backend() == "cpu":
        usual = batch_for(preset, files)
        return usual * batches_given(preset, usual)
    return MOST


def preset_for(job: Job, observation: Observation) -> Preset:
    """The preset as it looks at what was seen; `ValueError` if it cannot."""
    preset, shape = job.manifest.preset, observation.measurement.shape
    adapted = adapt_preset(preset, shape, observation.noise)
    if preset.operator is not None:
        check_preset(job.gen.spec, adapted, min(shape[:2]) if len(shape) == 3 else 1)
    return adapted


def params_for(job: Job, preset: Preset) -> Params:
    """The parameters with what an adapted preset needs: other nets, other statistics.

    With the nets of the preset as it was, its own statistics serve, wherever it looks now.
    """
    if preset.nets not in job.prepared_params:
        own = job.manifest.preset
        like = own if preset.nets == own.nets else preset
        known = with_statistics(job.gen, job.params, like, job.nets)
        job.prepared_params[preset.nets] = known
    return job.prepared_params[preset.nets]
