"""Features of frozen layers, computed once and cached."""
