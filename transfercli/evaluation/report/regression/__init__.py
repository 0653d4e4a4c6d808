"""Report of one number per image."""
