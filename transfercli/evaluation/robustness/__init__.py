"""Robustness: corruptions and test-time augmentation."""
