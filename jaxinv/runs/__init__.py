"""Folders of images through the engine, one line of results per file."""
