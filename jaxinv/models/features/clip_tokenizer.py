"""CLIP's tokenizer: texts to ids, by merging pairs of bytes (Sennrich et al. 2016).

Its vocabulary is a public file, `jaxinv pull clip-vocabulary`.
"""

from __future__ import annotations

import gzip
import html
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxinv.models import zoo
from jaxinv.specs.checks import check_list

if TYPE_CHECKING:
    from collections.abc import Sequence

LENGTH = 77  # ids of a text, with those of its start and end
MERGES = 48_894  # of the vocabulary's lines, those that were used
START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
_GZIP, _MOST_BYTES = b"\x1f\x8b", 2**25
_PIECES = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


class ClipTokenizer:
    """Texts to ids and back. Needs the packages of `jaxinv[clip]`.

    Args:
        vocabulary: file of merges, plain or gzipped; default: what `jaxinv pull clip-vocabulary`
            fetched.

    Raises:
        ValueError: the file or a package is missing, or the file is no such vocabulary.
    """

    def __init__(self, vocabulary: str | Path | None = None) -> None:
        self._ftfy, self._regex = _packages()
        path = _pulled() if vocabulary is None else Path(vocabulary)
        merges = _read_merges(path)
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        symbols = list(_symbols().values())
        words = [*symbols, *(s + WORD_END for s in symbols), *map("".join, merges), START, END]
        self.ids = {word: index for index, word in enumerate(words)}
        self.words = words
        self._pattern = self._regex.compile(_PIECES, self._regex.IGNORECASE)
        self._merged = lru_cache(2**16)(self._merge)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Ids int32 [B, 77]: start, text, end, zeros; too long a text is cut before its end.

        Raises `ValueError` for what is not a list of texts.
        """
        check_list("texts", texts, "texts")
        found = np.zeros((len(texts), LENGTH), np.int32)
        for row, text in zip(found, texts, strict=True):
            ids = [self.ids[START], *self.encode(text)[: LENGTH - 2], self.ids[END]]
            row[: len(ids)] = ids
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of a text as it is, without start and end."""
        clean = html.unescape(html.unescape(self._ftfy.fix_text(text))).strip()
        clean = self._regex.sub(r"\s+", " ", clean).strip().lower()
        symbols = _symbols()
        found: list[int] = []
        for piece in self._pattern.findall(clean):
            found += self._merged("".join(symbols[byte] for byte in piece.encode()))
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids: lower case, a space behind every word."""
        bytes_of = {symbol: byte for byte, symbol in _symbols().items()}
        joined = "".join(self.words[index] for index in ids)
        pieces = joined.split(WORD_END)
        data = b" ".join(bytes(bytes_of[symbol] for symbol in piece) for piece in pieces)
        return data.decode("utf-8", errors="replace")

    def _merge(self, word: str) -> tuple[int, ...]:
        """Ids of one word: its pairs are merged, the most frequent first."""
        if word in (START, END):
            return (self.ids[word],)
        parts = [*word[:-1], word[-1] + WORD_END]
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: self.ranks.get(pair, MERGES))
            if best not in self.ranks:
                break
            parts = _joined(parts, best)
        return tuple(self.ids[part] for part in parts)


def _joined(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """The parts with every occurrence of a pair made one, from the left."""
    found: list[str] = []
    index = 0
    while index < len(parts):
        step = 2 if tuple(parts[index : index + 2]) == pair else 1
        found.append("".join(parts[index : index + step]))
        index += step
    return found


@lru_cache(1)
def _symbols() -> dict[int, str]:
    """A printable character for every byte, those that are printable themselves first."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {b: chr(256 + i) for i, b in enumerate(others)}


def _packages() -> tuple[Any, Any]:
    try:
        import ftfy
        import regex
    except ImportError as error:
        raise ValueError(f"tokens of texts need {error.name}: install `jaxinv[clip]`") from error
    return ftfy, regex


def _pulled() -> Path:
    try:
        return zoo.locate(VOCABULARY)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """The pairs of the file, the most frequent first."""
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            with gzip.open(path) as handle:
                data = handle.read(_MOST_BYTES)
        lines = data.decode("utf-8").split("\n")[1 : MERGES + 1]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"vocabulary {str(path)!r} cannot be read ({error})") from error
    pairs = [tuple(line.split()) for line in lines]
    if len(pairs) != MERGES or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"vocabulary {str(path)!r} has {len(pairs)} lines; allowed: a heading and at least "
            f"{MERGES} pairs"
        )
    return pairs  # pyright: ignore[reportReturnType]
