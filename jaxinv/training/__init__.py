"""Training: one resumable loop, its data, checkpoints and logs, and what trainers share."""
