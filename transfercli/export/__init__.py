"""Portable artefacts: written by one row of a table, loaded again in a fresh process, and compared with the run."""
