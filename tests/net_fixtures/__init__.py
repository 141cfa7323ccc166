"""What the original code of nets, edits and metrics gave, and how ours is held against it.

Every module has `CHECKS`, from the name of a fixture's folder to a function of that folder, which
fails where ours differs. `tests/test_net_fixtures.py` runs them all.
"""
