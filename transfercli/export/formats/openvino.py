"""OpenVINO: the files `model.xml` and `model.bin`, written and read by OpenVINO."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.export.formats.embedded_spec import labels_text, thresholds_text
from transfercli.export.formats.outputs import with_score
from transfercli.export.spec import CARD, WriteJob, card_text, parse_card
from transfercli.export.tf_graph.traced import IMAGES, THRESHOLDS, as_tf_function

# Without this hint, processors with bfloat16 use it, and probabilities differ by about 1%.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which asks for an analytics server at its import.

    The switch that its documentation names, `opt_in_out --opt_out`, writes a file into the user's home. OpenVINO works
    without its package `openvino_telemetry`, too (`openvino/tools/ovc/telemetry_stub.py`), so that is hidden.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def write_openvino(job: WriteJob) -> None:
    """Write the model with card, labels and any thresholds as runtime information.

    The labels are at the key of OpenVINO's model API.
    """
    openvino = import_openvino()
    model = openvino.convert_model(as_tf_function(job.predictor).get_concrete_function())
    model.set_rt_info(labels_text(job.spec.labels), ["model_info", "labels"])
    if job.spec.thresholds is not None:
        model.set_rt_info(thresholds_text(job.spec.thresholds), [THRESHOLDS])
    model.set_rt_info(card_text(job.spec), [CARD])
    openvino.save_model(model, os.fspath(job.path), compress_to_fp16=job.quantize == "float16")


def read_openvino(path: Path) -> Any:
    """Load the model with OpenVINO on the CPU, in float32."""
    openvino = import_openvino()
    from transfercli.export.formats.readers import Artefact

    core = openvino.Core()
    model = core.read_model(os.fspath(path))
    spec = parse_card(model.get_rt_info([CARD]).astype(str)) if model.has_rt_info([CARD]) else None
    compiled = core.compile_model(model, "CPU", EXACT)

    def from_tensors(images: np.ndarray) -> np.ndarray:
        return with_score([np.array(output) for output in compiled({IMAGES: images}).values()])

    return Artefact(from_tensors, labels=spec.labels if spec else None, spec=spec)
