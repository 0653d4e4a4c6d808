"""Code snippets of the model card that load an artefact of each format without this package, and read its answers.

Those that load define `predict(images)`, uint8 [N, H, W, 3] -> float32 [N, C]. Paths are relative to the folder of the
card. The tests run them.
"""

from __future__ import annotations

from transfercli.data.image import NO_BACKGROUND

SAVED_MODEL = """\
import tensorflow as tf

model = tf.saved_model.load("saved_model")

def predict(images):
    return model.signatures["serve"](images=tf.constant(images))["probabilities"].numpy()
"""

KERAS = """\
import keras

predict = keras.saving.load_model("keras/model.keras", compile=False).predict_on_batch
"""

SAFETENSORS = """\
from pathlib import Path

import keras
from safetensors.numpy import load_file

model = keras.models.model_from_json(Path("safetensors/model.json").read_text())
tensors = load_file("safetensors/model.safetensors")
for variable in model.weights:
    variable.assign(tensors[variable.path])
predict = model.predict_on_batch
"""

ONNX = """\
import onnxruntime

session = onnxruntime.InferenceSession("onnx/model.onnx")

def predict(images):
    return session.run(["probabilities"], {"images": images})[0]
"""

LITERT = """\
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("litert/model.tflite")
entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

def predict(images):
    interpreter.resize_tensor_input(entry["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(output["index"])
"""

OPENVINO = """\
import openvino

core = openvino.Core()
model = core.compile_model("openvino/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

def predict(images):
    return model({"images": images})[0]
"""

_TORCH_SAFETENSORS = """\
import json
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file

config = json.loads(Path("torch_safetensors/config.json").read_text())
classes, preparation = config["num_classes"], config["pretrained_cfg"]
network = torchvision.models.get_model(config["architecture"], weights=None, num_classes=classes)
if config["architecture"].startswith("vgg"):
    network.avgpool, network.classifier = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Linear(512, classes)
network.load_state_dict(load_file("torch_safetensors/model.safetensors"))
network.eval()
mean, std = (torch.tensor(preparation[name]).reshape(3, 1, 1) for name in ("mean", "std"))

def predict(images):
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        return PROBABILITIES.numpy()
"""
TORCH_SAFETENSORS = _TORCH_SAFETENSORS.replace("PROBABILITIES", "torch.softmax(network((pixels - mean) / std), 1)")
TORCH_SAFETENSORS_SEVERAL = _TORCH_SAFETENSORS.replace("PROBABILITIES", "torch.sigmoid(network((pixels - mean) / std))")

# The answer of one image, from `predict`, if an image may have several labels.
SEVERAL_LABELS = """\
import json
from pathlib import Path

labels = Path("{format}/labels.txt").read_text(encoding="utf-8").split("\\n")[:-1]
thresholds = json.loads(Path("{format}/thresholds.json").read_text())

probabilities = predict(pixels("photo.jpg"))[0]
print([label for label, p, t in zip(labels, probabilities, thresholds, strict=True) if p >= t])
"""

_OPAQUE = """\
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
"""
_ON_BACKGROUND = """\
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    image = Image.new("RGB", picture.size, "{background}")
    image.paste(picture, mask=picture)
"""


def reading(background: str) -> str:
    """Return Pillow code that reads the file `path` as an upright RGB `image`, its transparent pixels on a background.

    background: `#rrggbb` or `NO_BACKGROUND`.
    """
    return _OPAQUE if background == NO_BACKGROUND else _ON_BACKGROUND.format(background=background)


# Pillow code that resizes an upright RGB image to `size`, (width, height), for each value of the run's `data.resize`.
RESIZING = {
    "stretch": "image.resize(size, Image.Resampling.BILINEAR)",
    "crop": "ImageOps.fit(image, size, Image.Resampling.BILINEAR)",
    "pad": "ImageOps.pad(image, size, Image.Resampling.BILINEAR)",
}
