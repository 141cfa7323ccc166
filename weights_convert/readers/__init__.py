"""Bytes to arrays; nothing in a file is executed."""
