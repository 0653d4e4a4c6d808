"""TensorFlow graphs that decode images, apply EXIF orientation and resize, inside an artefact."""
