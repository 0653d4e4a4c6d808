"""Configs: the recipes behind `config`."""
