"""Export: the recipe behind `export`, and the model card."""
