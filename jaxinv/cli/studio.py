"""`jaxinv studio`: the local web page."""

from __future__ import annotations

import argparse


def add(verbs: argparse._SubParsersAction) -> None:
    """The verb that opens the page."""
    del verbs
