"""One person: a generator tuned to several photographs, and searches between their codes."""

from __future__ import annotations

from jaxinv.presets.everyday import (
    ANCHOR,
    LEAST,
    LIKENESS,
    REFERENCE,
    SEARCH,
    SOLVER,
    TUNED,
    TUNING,
    WEAVE,
)
from jaxinv.specs import Preset, Stage, Variable

NITZAN = "Nitzan et al. 2022, MyStyle, arXiv:2203.17272"
PERSONAL = Preset(
    name="personal",
    summary="default for each photo, then weights that all photos of the run share",
    reference=REFERENCE + "; tuning after " + NITZAN,
    notes=(
        "`jaxinv personalize` makes a generator of what it finds. That paper tunes all weights for "
        "3000 steps an image at codes of an e4e encoder."
    ),
    enlarge=LEAST,
    stages=(
        SEARCH,
        Stage(
            variables=(Variable("weights", form="multiply", select=TUNED, shared=True),),
            terms=(*LIKENESS, ANCHOR),
            steps=100,
            solver=TUNING,
        ),
    ),
)
MYSTYLE = Preset(
    name="mystyle",
    summary="W+ between the codes of one person's photos, in a generator tuned to them",
    reference=NITZAN,
    notes=(
        "For generators of `jaxinv personalize`. Each row has shares of its own (alpha+). Not "
        "verified: how much shares may be negative; losses and solver are those of default."
    ),
    enlarge=LEAST,
    stages=(Stage((Variable("w+", codec="hull"),), (*LIKENESS, WEAVE), 100, SOLVER),),
)
