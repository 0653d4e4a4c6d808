"""Workflows of the commands: one function per command, one sub-package per group."""
