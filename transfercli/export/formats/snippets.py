"""How an artefact is loaded where this package is not: a few lines for each format, for the model card.

Each defines `answer(images)`, uint8 [N, H, W, 3] -> float32 [N, C]. They start from the folder of the card, and the
tests run them.
"""

from __future__ import annotations

SAVED_MODEL = """\
import tensorflow as tf

model = tf.saved_model.load("saved_model")

def answer(images):
    return model.signatures["serve"](images=tf.constant(images))["probabilities"].numpy()
"""

KERAS = """\
import keras

answer = keras.saving.load_model("keras/model.keras", compile=False).predict_on_batch
"""

SAFETENSORS = """\
from pathlib import Path

import keras
from safetensors.numpy import load_file

model = keras.models.model_from_json(Path("safetensors/model.json").read_text())
tensors = load_file("safetensors/model.safetensors")
for variable in model.variables:
    variable.assign(tensors[variable.path])
answer = model.predict_on_batch
"""

ONNX = """\
import onnxruntime

session = onnxruntime.InferenceSession("onnx/model.onnx")

def answer(images):
    return session.run(["probabilities"], {"images": images})[0]
"""

LITERT = """\
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("litert/model.tflite")
(entry,), (exit,) = interpreter.get_input_details(), interpreter.get_output_details()

def answer(images):
    interpreter.resize_tensor_input(entry["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(exit["index"])
"""

OPENVINO = """\
import openvino

core = openvino.Core()
model = core.compile_model("openvino/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

def answer(images):
    return model({"images": images})[0]
"""

# How Pillow resizes an upright RGB image to `size`, (width, height), by what the run's `data.resize` says.
RESIZING = {
    "stretch": "image.resize(size, Image.Resampling.BILINEAR)",
    "crop": "ImageOps.fit(image, size, Image.Resampling.BILINEAR)",
    "pad": "ImageOps.pad(image, size, Image.Resampling.BILINEAR)",
}
