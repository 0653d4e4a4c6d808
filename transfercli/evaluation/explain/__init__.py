"""Explanations: heat maps by gradients (Grad-CAM, or shares of a transformer's patches) and by occlusion."""
