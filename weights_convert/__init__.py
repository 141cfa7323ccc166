"""Foreign weights into safetensors: fetched by name, read without executing, renamed by tables."""

from weights_convert.convert import convert
from weights_convert.errors import UnsafeFileError
from weights_convert.export import export
from weights_convert.pull import pull

__all__ = ["UnsafeFileError", "convert", "export", "pull"]
