"""Export: portable artefacts, each written, loaded again in a new process and compared with the run."""
