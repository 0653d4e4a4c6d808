"""Tables of rules, one module for each family of networks."""
