"""Foreign weights into safetensors: fetched by name, read without executing, renamed by tables."""

from weights_convert.convert import convert
from weights_convert.download.pull import pull
from weights_convert.errors import UnsafeFileError
from weights_convert.writers.export import export

__all__ = ["UnsafeFileError", "convert", "export", "pull"]
