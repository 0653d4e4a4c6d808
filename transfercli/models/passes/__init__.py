"""Forward passes over many images that keep a device busy."""
