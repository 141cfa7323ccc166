"""Arrays of other code to parameters, by rules."""
