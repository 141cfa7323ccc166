"""What a Keras layer says of itself, fact by fact: each is one of the allowed values or refused."""

from __future__ import annotations

from typing import Any

from weights_convert.errors import UnsafeFileError

ACTIVATIONS = {"linear": "none"} | {n: n for n in ("relu", "leaky_relu", "tanh", "sigmoid")}


class Config:
    """The configuration of one layer: its kind, its name, and its facts by name."""

    def __init__(self, layer: Any) -> None:
        facts = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(facts, dict):
            raise UnsafeFileError("model_config: a layer without a configuration")
        self.kind, self.facts = str(layer.get("class_name")), facts
        self.name = str(facts.get("name", self.kind))

    def refuse(self, fact: str, allowed: str) -> UnsafeFileError:
        """The error that says what `fact` is and what it may be."""
        found = self.facts.get(fact)
        return UnsafeFileError(f"{self.name}: {fact} {found!r:.80}; allowed: {allowed}")

    def one_of(self, fact: str, allowed: tuple[Any, ...], usual: Any = None) -> Any:
        """The value of `fact`, which is among `allowed`."""
        found = self.facts.get(fact, usual)
        if isinstance(found, dict | list) or found not in allowed:
            raise self.refuse(fact, ", ".join(map(str, allowed)))
        return found

    def number(self, fact: str, usual: float | None = None) -> float:
        """A number from 0 to 1."""
        found = self.facts.get(fact, usual)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
            raise self.refuse(fact, "0 to 1")
        return float(found)

    def sizes(self, fact: str, count: int) -> tuple[int, ...]:
        """`count` positive whole numbers; one number stands for all."""
        given = self.facts.get(fact)
        found: list[Any] = given if isinstance(given, list) else [given] * count
        if len(found) != count or any(type(n) is not int or not 0 < n < 2**20 for n in found):
            raise self.refuse(fact, f"{count} positive numbers")
        return tuple(found)

    def side(self, fact: str) -> int:
        """Two equal sizes."""
        height, width = self.sizes(fact, 2)
        if height != width:
            raise self.refuse(fact, "a square")
        return height

    def plain(self) -> None:
        """Refuse a convolution with the channels first, or with holes."""
        self.one_of("data_format", ("channels_last",), "channels_last")
        dilation = self.facts.get("dilation_rate", 1)
        if dilation not in (1, [1, 1]):
            raise self.refuse("dilation_rate", "1")

    def activation(self) -> tuple[str, float]:
        """(name, slope) of an activation layer, or of a layer's own activation."""
        inner = self.facts.get("activation")
        if isinstance(inner, dict) and inner.get("class_name") in ("ReLU", "LeakyReLU"):
            return Config(inner).activation()
        if self.kind == "ReLU":
            for fact, usual in (("max_value", None), ("negative_slope", 0), ("threshold", 0)):
                self.one_of(fact, (usual,), usual)
            return "relu", 0.2
        if self.kind == "LeakyReLU":
            slope = "alpha" if "alpha" in self.facts else "negative_slope"
            return "leaky_relu", self.number(slope, 0.3)
        return ACTIVATIONS[self.one_of("activation", tuple(ACTIVATIONS), "linear")], 0.2
