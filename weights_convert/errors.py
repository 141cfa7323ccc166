"""The one exception for foreign files that cannot be trusted or understood."""

from __future__ import annotations


class UnsafeFileError(ValueError):
    """A foreign file that is malformed, hostile or not the expected one; none of it was run."""
