"""Transfer learning: strategies, copied parameters, cached features, solved heads."""
