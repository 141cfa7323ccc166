"""One file per family, each a pair of pure functions on ONE lane; they know nothing of images."""
