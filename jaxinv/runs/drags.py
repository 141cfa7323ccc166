"""Points of kept pictures dragged to other places: pictures, animations, and the moved latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.metrics.dragging import lpips_outside
from jaxinv.models.features.backbones import NETS
from jaxinv.models.loading import load_features
from jaxinv.runs.edits import EditResult, edited_facts, write_edits, write_result, write_together
from jaxinv.runs.kept_latents import Generators, Kept, Reader, list_latents, mask_for, one_file
from jaxinv.sessions.dragging import RATE, STEPS, check_handles
from jaxinv.sessions.places import check_mask
from jaxinv.sessions.session import Session
from jaxinv.specs.checks import check_above, check_whole

if TYPE_CHECKING:
    from jaxinv.types import Latents, Params

Place = tuple[float, float]
FRAMES = 12  # of an animation, at most


@dataclass(frozen=True)
class DragRequest:
    """What is asked of a drag.

    Attributes:
        places: folders of results, and files of latents.
        out: the folder for the results.
        points: x and y in px of the full picture.
        targets: where they are to go.
        generator: name of the one that draws; None: what the latents say.
        mask: file, or folder of files, that is white where the picture may move.
        steps: at most so many.
        rate: of Adam.
        animate: one of `ANIMATIONS`, or None.
        seconds: how long an animation lasts.
    """

    places: tuple[str, ...]
    out: str
    points: tuple[Place, ...]
    targets: tuple[Place, ...]
    generator: str | None = None
    mask: str | None = None
    steps: int = STEPS
    rate: float = RATE
    animate: str | None = None
    seconds: float = 3.0

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 1)
        check_above("rate", self.rate, 0)
        if len(self.points) != len(self.targets) or not self.points:
            raise ValueError(
                f"{len(self.points)} points and {len(self.targets)} targets; allowed: as many, "
                "one or more"
            )


@dataclass(frozen=True)
class DragResult(EditResult):
    """What became of one sample; the field names are those of edits.jsonl.

    `steps` were made; `points` are where they are then, `distance` is their mean distance from the
    targets in px at 256 px, `lpips_outside` what changed outside of the mask (of all, without one).
    """

    steps: int = 0
    arrived: bool = False
    points: tuple[Any, ...] = ()
    distance: float | None = None
    lpips_outside: float | None = None


def run_drags(
    request: DragRequest,
    *,
    read: Reader = one_file,
    ready: Callable[[str], object] | None = None,
    say: Callable[[str], object] = lambda line: None,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Carry out a drag; returns (samples done, samples failed).

    `read` reads files of latents, `ready` is called with every generator's name before it is
    loaded, and `say` gets the warnings. One sample's fault costs that sample. Raises `ValueError`
    before anything is drawn where points lie outside of the pictures, for a mask that is not
    there, and where other edits are in the folder, unless with `overwrite`.
    """
    if request.mask and not Path(request.mask).exists():
        raise ValueError(f"no mask {request.mask}; allowed: a file, or a folder of files")
    found = list_latents(request.places, read)
    generators = Generators(request.generator, ready)
    for name in dict.fromkeys(generators.name_for(one) for one in found if not one.reason):
        side = generators.load(name)[0].spec.resolution
        check_handles((request.points, request.targets), side)
    nets: dict[str, Params] = {}
    one = partial(drag_one, request, generators, nets)
    return write_edits(request.out, asdict(request), found, one, say=say, overwrite=overwrite)


def drag_one(
    request: DragRequest, generators: Generators, nets: dict[str, Params], kept: Kept
) -> DragResult:
    """Drag the points of one sample and write what came of it; `ValueError` if it cannot be."""
    name = generators.name_for(kept)
    gen, params, latents = generators.fit(kept)
    side, mask = gen.spec.resolution, None
    if request.mask:
        mask = check_mask(mask_for(Path(request.mask), kept, side), "mask")
    session = Session(gen, params, latents)
    search = session.dragging(request.points, request.targets, mask, rate=request.rate)
    codes: list[Latents] = [session.latents]
    while search.steps < request.steps and not search.over:
        search.step()
        if request.animate:
            codes.append(search.latents())
    session.keep(search)
    before, after = session.picture(latents=session.start), session.picture()
    out = Path(request.out)
    told = {"drag": [list(p) for p in request.points], "to": [list(t) for t in request.targets]}
    told |= {"steps": search.steps, "rate": request.rate}
    facts = edited_facts(kept, name, session.latents, [told])
    files = [write_result(out, kept.name, after, session.latents, facts)]
    if request.animate:
        chosen = np.unique(np.linspace(0, len(codes) - 1, FRAMES).astype(int))
        files += write_together(
            request, kept.name, [session.picture(latents=codes[i]) for i in chosen]
        )
    if not nets and before.shape[0] >= NETS["alexnet"].smallest:
        nets |= load_features(("alexnet",))
    late = f"not all points have arrived in {search.steps} steps"
    return DragResult(
        str(kept.file), kept.name, "ok", "", name,
        files=tuple(files),
        warnings=() if search.arrived else (late,),
        steps=search.steps,
        arrived=search.arrived,
        points=tuple(map(tuple, search.points.round(2).tolist())),
        distance=search.distance,
        lpips_outside=lpips_outside(nets["alexnet"], before, after, mask) if nets else None,
    )  # fmt: skip
