"""Building blocks of generators and feature nets; all work on ONE sample, NHWC without N."""
