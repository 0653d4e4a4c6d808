"""What is carried over, and what trains when."""
