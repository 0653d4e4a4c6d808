"""Explanations: Grad-CAM and occlusion heat maps."""
