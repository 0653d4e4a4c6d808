"""Fit of the out-of-distribution score of a run, and the choice between scores on classes that are left out."""
