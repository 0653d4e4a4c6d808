"""Batches, augmentation and MixUp."""
