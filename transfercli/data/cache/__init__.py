"""The image cache: decoded pixels on disk, shared by runs."""
