"""Ask a model about image files with Triton's client (pip install 'tritonclient[http]'): the Open Inference Protocol.

python client_triton.py 127.0.0.1:8500 flowers photo.jpg other.png
"""

import os
import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton


def main(address, model, *files):
    headers = {}
    if token_file := os.environ.get("TRANSFERCLI_TOKEN_FILE"):
        headers["Authorization"] = f"Bearer {Path(token_file).read_text().strip()}"
    client = triton.InferenceServerClient(address)
    encoded = triton.InferInput("encoded", [len(files)], "BYTES")
    encoded.set_data_from_numpy(np.array([Path(file).read_bytes() for file in files], dtype=np.object_))
    outputs = [triton.InferRequestedOutput(name) for name in ("label", "probability")]
    answer = client.infer(model, [encoded], outputs=outputs, headers=headers)
    client.close()
    for file, label, value in zip(files, answer.as_numpy("label"), answer.as_numpy("probability"), strict=True):
        print(file, label.decode(), f"{value:.4f}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
