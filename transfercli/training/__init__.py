"""Training: phases, epochs, optimization, checkpoints and tracking."""
