"""Series of runs: the folds of a cross-validation, or one config with several seeds; trained and evaluated together."""
