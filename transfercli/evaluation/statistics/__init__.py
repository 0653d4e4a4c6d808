"""Statistics: confidence intervals, paired comparison, promotion, and tests for distribution shift."""
