"""Each command as one recipe."""
