"""A writer of ONNX graphs from functional Keras models, on any backend: a table of rules, one a kind of operation."""
