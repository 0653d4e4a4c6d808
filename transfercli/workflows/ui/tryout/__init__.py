"""Try-out of `ui`: the answer of a run to a picture, its heat map, and the nearest training images."""
