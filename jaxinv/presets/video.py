"""Frames of one video: weights that they share, and weights that hide the border of an edit."""

from __future__ import annotations

from jaxinv.presets.everyday import ANCHOR, LEAST, LIKENESS, TUNED, TUNING
from jaxinv.specs import InitSpec, MaskSpec, Preset, SolverSpec, Stage, Term, Variable

TZABAN = "Tzaban et al. 2022, Stitch it in Time, arXiv:2201.08361"
STIT_TUNING = Preset(
    name="stit-tuning",
    summary="weights that all frames of a video share, at codes that are given",
    reference=TZABAN + ", the tuning of its pivots",
    notes=(
        "`jaxinv video` gives the codes, smoothed in time. The paper tunes all weights by 10 times "
        "the squares and LPIPS at a rate of 3e-5; here as in `personal`."
    ),
    enlarge=LEAST,
    stages=(
        Stage(
            variables=(Variable("weights", form="multiply", select=TUNED, shared=True),),
            terms=(*LIKENESS, ANCHOR),
            steps=100,
            solver=TUNING,
        ),
    ),
)
STIT_STITCHING = Preset(
    name="stit-stitching",
    summary="weights of one frame: its border as in the frame, its middle as edited",
    reference=TZABAN + ", stitching tuning; constants of its code",
    notes=(
        "The picture 'edited' and the mask 'border' come from the call, and the edit's latents as "
        "starts. Its code grows the mask of the face by 50 px; rates are of form 'multiply'."
    ),
    masks=(MaskSpec("border"),),
    stages=(
        Stage(
            variables=(Variable("weights", form="multiply", select=TUNED, init=InitSpec("given")),),
            terms=(
                Term("mse", mask="border"),
                Term("mse", 0.01, mask="not border", target="edited"),
            ),
            steps=100,
            solver=SolverSpec("adam", learning_rate=3e-3),
        ),
    ),
)
