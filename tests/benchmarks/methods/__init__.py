"""What papers claim of their methods, measured with this library's presets."""
