"""Discriminators that were trained against the generators."""
