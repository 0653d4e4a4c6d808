"""TensorFlow graphs: image decoding, EXIF orientation and resizing inside an artefact."""
