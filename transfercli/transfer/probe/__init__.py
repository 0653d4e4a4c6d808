"""Linear probes: heads that are solved for on fixed features."""
