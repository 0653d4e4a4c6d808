"""The two roads to ONNX: this program's writer, and Keras's export by way of TensorFlow and tf2onnx.

Usage: python -m benchmarks.onnx_roads [--bases mobilenetv2 efficientnetb0 resnet50 densenet121 vit_small_patch16]

Builds each base with random weights at its own image size and prints a Markdown table: opset, nodes, transposes, size,
seconds to write, and processor time of onnxruntime for one image on one thread (the least of 25 calls, in turns).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

import numpy as np

from benchmarks.workbench import prepare_backend

CALLS = 25
BASES = ("mobilenetv2", "efficientnetb0", "resnet50", "densenet121", "vit_small_patch16", "convnexttiny")
HEAD = ("base", "road", "opset", "nodes", "transposes", "MB", "write s", "image ms", "difference")


def predictor_of(name: str) -> Any:
    from transfercli.config.schema import HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.bases import BASES as ROWS
    from transfercli.models.classifier import build_classifier
    from transfercli.models.inference_model import build_inference_model

    row = ROWS[name]
    head = HeadConfig(pooling=row.pooling)  # type: ignore[arg-type]
    labels = tuple(map(str, range(10)))
    return build_inference_model(build_classifier(Architecture(name, (row.size, row.size), 3, head, labels)))


def roads(predictor: Any) -> dict[str, tuple[Any, float]]:
    """Return road -> (model, seconds to write it)."""
    from transfercli.export.formats.onnx import converted_by_keras, written_by_rules

    made = {}
    for road, write in (("writer", written_by_rules), ("Keras", converted_by_keras)):
        started = time.perf_counter()
        made[road] = (write(predictor), time.perf_counter() - started)
    return made


def measure(name: str) -> None:
    from transfercli.export.formats.onnx import import_onnxruntime

    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    predictor = predictor_of(name)
    image = np.random.default_rng(0).integers(0, 256, (1, *predictor.input.shape[1:])).astype("uint8")
    expected = np.asarray(predictor(image))
    made, sessions, rows = roads(predictor), {}, {}
    for road, (model, seconds) in made.items():
        content = model.SerializeToString()
        nodes = Counter(node.op_type for node in model.graph.node)
        opset, size = model.opset_import[0].version, f"{len(content) / 1e6:.1f}"
        rows[road] = [name, road, opset, nodes.total(), nodes["Transpose"], size, f"{seconds:.1f}"]
        try:
            sessions[road] = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each status, without a common base
            rows[road] += ["fails", str(error)[:60]]
    spent: dict[str, list[float]] = {road: [] for road in sessions}
    for _ in range(CALLS):
        for road, session in sessions.items():
            started = time.process_time()
            (found,) = session.run(None, {"images": image})
            spent[road].append(1000 * (time.process_time() - started))
    for road, session in sessions.items():
        (found,) = session.run(None, {"images": image})
        rows[road] += [f"{min(spent[road]):.1f}", f"{np.abs(found - expected).max():.1g}"]
    for row in rows.values():
        print("|", " | ".join(map(str, row)), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", nargs="+", default=list(BASES))
    args = parser.parse_args()
    prepare_backend()
    print("|", " | ".join(HEAD), "|\n|", " | ".join("---" for _ in HEAD), "|")
    for name in args.bases:
        measure(name)


if __name__ == "__main__":
    main()
