"""Decoding of image files to uint8 pixels, in this process or in worker processes."""
