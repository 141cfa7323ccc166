"""Presets: data only, one file per family of papers."""
