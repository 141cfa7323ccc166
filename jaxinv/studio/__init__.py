"""The local web page: one's own photographs found, moved, dragged, painted and saved."""
