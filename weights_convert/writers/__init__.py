"""Parameters to files that other code reads."""
