"""What inversion is for: methods that make something of several searches."""
