"""Export: the workflow of `export`, and the model card."""
