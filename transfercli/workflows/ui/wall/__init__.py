"""Wall of `ui`: the mistakes and the least sure of an evaluation as pictures, with heat maps."""
