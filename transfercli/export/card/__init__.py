"""The model card: README.md in the folder of the artefacts."""
