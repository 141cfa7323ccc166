"""One file per architecture, all behind the same `Generator` of pure single-sample functions."""
