"""Choice of the weights that train: whole layers of the base, or low-rank changes of their kernels."""
