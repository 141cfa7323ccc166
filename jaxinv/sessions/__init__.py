"""Interactive editing: searches that are made step by step, and what was done, to be done again."""
