"""CRC-32C (RFC 3720, B.4) of large arrays of bytes, many stretches at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_POLYNOMIAL = 0x82F63B78  # bits reversed
_LANES = 2048
_ONES = 0xFFFFFFFF


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of `data`.

    Its state is linear over single bits: equal stretches are summed side by side, then each half of
    them is carried over the bytes of the other.
    """
    length = len(data) // _LANES
    stretches = np.frombuffer(data, np.uint8, length * _LANES).reshape(_LANES, length)
    states = np.zeros(_LANES, np.uint32)
    states[0] = _ONES
    table = _table()
    for column in range(length):
        states = table[(states ^ stretches[:, column]) & 255] ^ (states >> 8)
    while len(states) > 1:
        states = _carried(states[::2], length) ^ states[1::2]
        length *= 2
    state = int(states[0])
    for byte in bytes(data[length:]):
        state = int(table[(state ^ byte) & 255]) ^ (state >> 8)
    return state ^ _ONES


@lru_cache(1)
def _table() -> np.ndarray:
    """State after one more byte, by the byte."""
    states = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        states = (states >> 1) ^ np.where(states & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return states


def _carried(states: np.ndarray, count: int) -> np.ndarray:
    """`states` after `count` more bytes of zero."""
    power = _zero_byte()
    while count:
        if count & 1:
            states = _applied(power, states)
        power, count = _applied(power, power), count >> 1
    return states


def _zero_byte() -> np.ndarray:
    """The columns [32] of the matrix of one byte of zero: what becomes of every single bit."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    return _table()[bits & 255] ^ (bits >> 8)


def _applied(columns: np.ndarray, states: np.ndarray) -> np.ndarray:
    found = np.zeros_like(states)
    for bit, column in enumerate(columns):
        found ^= np.where(states >> np.uint32(bit) & 1, column, np.uint32(0))
    return found
