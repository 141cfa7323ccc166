"""What applications of inversion claim, measured."""
