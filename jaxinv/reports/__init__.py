"""What people read after a run: HTML, charts, tables."""
