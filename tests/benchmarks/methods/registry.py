"""All claims by name; a family is a module with a tuple CLAIMS."""

from __future__ import annotations

from tests.benchmarks.methods import codes, exact
from tests.benchmarks.methods.claims import Claim

FAMILIES = (exact, codes)
CLAIMS: dict[str, Claim] = {claim.name: claim for one in FAMILIES for claim in one.CLAIMS}
