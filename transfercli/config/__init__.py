"""Experiment config: schema, strict YAML, inheritance, error messages and generated reference."""
