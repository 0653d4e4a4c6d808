"""Verification of artefacts: parity with the run, a sandbox process, checksums."""
