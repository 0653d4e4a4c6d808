"""Ask a model about image files as TensorFlow Serving is asked over REST; the same request suits both servers.

python client_tensorflow_serving.py http://127.0.0.1:8500 flowers photo.jpg other.png

`probabilities_bytes` is also a signature of the SavedModel that `transfercli export` writes.
"""

import base64
import json
import os
import sys
import urllib.request
from pathlib import Path


def main(address, model, *files):
    images = [{"b64": base64.b64encode(Path(file).read_bytes()).decode()} for file in files]
    content = {"signature_name": "probabilities_bytes", "instances": images}
    headers = {"Content-Type": "application/json"}
    if token_file := os.environ.get("TRANSFERCLI_TOKEN_FILE"):
        headers["Authorization"] = f"Bearer {Path(token_file).read_text().strip()}"
    url = f"{address}/v1/models/{model}:predict"
    request = urllib.request.Request(url, json.dumps(content).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        predictions = json.load(answer)["predictions"]
    for file, probabilities in zip(files, predictions, strict=True):
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        print(file, best, f"{probabilities[best]:.4f}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
