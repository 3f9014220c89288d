"""Training: objectives, optimizer, loop, checkpoints."""
