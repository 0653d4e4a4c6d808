"""Protocols in which models are asked: how requests and answers read."""
