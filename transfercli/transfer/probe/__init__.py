"""Linear probes: heads solved for on fixed features, without gradient epochs; and blends of two sets of weights."""
