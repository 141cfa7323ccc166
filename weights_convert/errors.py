"""The one exception for foreign files that cannot be trusted or understood."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class UnsafeFileError(ValueError):
    """A foreign file that is malformed, hostile or not the expected one; none of it was run."""


@contextlib.contextmanager
def one_error(source: str) -> Iterator[None]:
    """Tables look arrays up and take their sizes apart: where that fails, they are not `source`'s.

    Whatever of this kind the block raises becomes `UnsafeFileError`.
    """
    try:
        yield
    except UnsafeFileError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise UnsafeFileError(
            f"{source}: an array is missing or of another shape ({error!s:.80})"
        ) from error
