"""Building blocks shared by generators and feature nets; every function works on ONE sample, NHWC without N."""
