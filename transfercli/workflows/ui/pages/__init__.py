"""Pages of `ui`, one a module: each gives its routes."""
