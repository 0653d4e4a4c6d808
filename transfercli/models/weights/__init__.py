"""Pretrained weights and weight files: found, verified and read as plain tensors."""
