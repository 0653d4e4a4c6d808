"""Configs: the workflows of `config`."""
