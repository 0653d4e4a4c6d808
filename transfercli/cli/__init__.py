"""Command line: commands, their output on stdout and stderr, and exit codes."""
