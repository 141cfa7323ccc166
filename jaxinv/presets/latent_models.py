"""Searches at home in a learned prior of codes."""

from __future__ import annotations

from jaxinv.specs import InitSpec, Preset, SolverSpec, Stage, Term, Variable

LIA = Preset(
    name="lia",
    summary="best of 20 z, moved in the unit normal to which a learned invertible network takes it",
    reference="Zhu et al. 2019, LIA: Latently Invertible Autoencoder, arXiv:1906.08090",
    notes=(
        "For parameters of `jaxinv.applications.latent_models.with_flow`. The paper inverts by its "
        "encoder alone (start at one: --init encoder:NAME); losses and solver are ours."
    ),
    stages=(
        Stage(
            (Variable("z", codec="flow", init=InitSpec("best-of", count=20)),),
            (Term("mse"), Term("gaussian", 1e-3, variable="z")),
            200,
            SolverSpec("adam", 0.05),
        ),
    ),
)
