"""Weight files: found, verified and read as plain tensors."""
