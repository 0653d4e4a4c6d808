"""Static int8 quantisation of a LiteRT model: by ai-edge-quantizer, or by TensorFlow's converter if it is missing."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr
from importlib.util import find_spec
from typing import Any

import numpy as np

SMALL_SHARE = 0.05  # dense layers with less than this share of the weights stay in float32
# An 8-bit softmax has a resolution of 1/256. TensorFlow's converter writes LayerNorm as the five operations after it:
# in 8 bits they and GELU cost a small vision transformer a third of its accuracy.
EXACT = ("SOFTMAX", "MEAN", "SQUARED_DIFFERENCE", "RSQRT", "SUB", "GELU")
# Operations that normalise pooled features: a root makes small values large, which 8 bits have rounded to nothing.
# LOGISTIC makes the probabilities of labels, for which 1/256 is as coarse as for a softmax.
OF_VECTORS = ("ABS", "ADD", "CONCATENATION", "LOGISTIC", "MAXIMUM", "MUL", "SIGN", "SQRT", "SQUARE", "SUM")


def quantised(converter: Any, predictor: Any, samples: np.ndarray) -> bytes:
    """Return the converter's model with weights (per channel) and activations in 8 bits.

    `EXACT` operations stay in float32, and so do `OF_VECTORS` whose result is one vector an image.

    samples: uint8 [M, H, W, 3], from which ranges of values are measured. A small last layer stays in float32, because
    its logits are small differences of large sums.
    """
    if find_spec("ai_edge_quantizer") is None:
        return _by_debugger(converter, predictor, samples)
    with redirect_stderr(io.StringIO()), warnings.catch_warnings():  # a progress bar, and advice about memory
        warnings.simplefilter("ignore")
        return _by_quantizer(bytearray(converter.convert()), _small_last_layer(predictor), samples)


def _by_quantizer(content: bytearray, last_layer: str | None, samples: np.ndarray) -> bytes:
    """Quantise with ai-edge-quantizer. last_layer: a part of the names of tensors of a layer to leave in float32."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.utils import qsv_utils

    kind = qtyping.TFLOperationName
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(".*", kind.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    model = Interpreter(model_content=bytes(content))
    kept = [(".*", kind(name)) for name in (*EXACT, "INPUT", "OUTPUT")]
    known = {entry.value for entry in kind}
    kept += [(f"^{re.escape(name)}", kind(op)) for op, name in _of_vectors(model) if op in known]
    if last_layer:
        kept.append((re.escape(last_layer), kind.FULLY_CONNECTED))
    for tensors, operation in kept:
        recipe.add_quantization_config(tensors, operation, algorithm_key=AlgorithmName.NO_QUANTIZE)
    ((signature, names),) = model.get_signature_list().items()
    (entry,) = names["inputs"]
    # The default, a moving average, would cut off values that only some images reach.
    ranges = calibrator.Calibrator(content, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate({signature: [{entry: image} for image in _images(samples)]}, recipe)
    made = quantizer.Quantizer(content, recipe.get_quantization_recipe()).quantize(
        ranges.get_model_qsvs(), enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(made.quantized_model)


def _of_vectors(model: Any) -> list[tuple[str, str]]:
    """Return the kind and the name of the result of each of `OF_VECTORS` whose result is one vector an image."""
    tensors = {tensor["index"]: tensor for tensor in model.get_tensor_details()}
    results = [(operation["op_name"], tensors[operation["outputs"][0]]) for operation in model._get_ops_details()]
    return [(kind, result["name"]) for kind, result in results if kind in OF_VECTORS and len(result["shape"]) == 2]


def _by_debugger(converter: Any, predictor: Any, samples: np.ndarray) -> bytes:
    """Quantise with TensorFlow's converter, whose only interface that leaves operations out is deprecated."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    vectors = [name for _, name in _of_vectors(Interpreter(model_content=converter.convert()))]
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in _images(samples))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    exact = [*EXACT, *(["FULLY_CONNECTED"] if _share_of_dense(predictor) < SMALL_SHARE else [])]
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=exact, denylisted_nodes=vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter itself uses a deprecated interpreter
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
        )
        content: bytes = debugger.get_nondebug_quantized_model()
    return content


def _small_last_layer(predictor: Any) -> str | None:
    """Return the name of the last dense layer, or None if it has a large share of all weights."""
    last = _dense_layers(predictor)[-1:]
    small = last and last[0].count_params() < SMALL_SHARE * predictor.count_params()
    return last[0].name if small else None


def _share_of_dense(predictor: Any) -> float:
    """Return the share of all weights that is in dense layers."""
    return float(sum(layer.count_params() for layer in _dense_layers(predictor)) / predictor.count_params())


def _dense_layers(predictor: Any) -> list[Any]:
    import keras

    return [layer for layer in predictor.layers if isinstance(layer, keras.layers.Dense)]


def _images(samples: np.ndarray) -> Iterator[np.ndarray]:
    # A first image of black and white columns, so that the input range is 0 to 255 for any samples.
    scale = np.zeros((1, *samples.shape[1:]), np.uint8)
    scale[:, :, ::2] = 255
    yield scale
    for image in samples:
        yield image[None]
