"""Cost of the layer between a socket and a model: processor time of a request, without any network or decoding.

Usage: python -m benchmarks.serve_layer [--seconds 4] [--clients 16]

The server answers with a model that does nothing. Beside it stands the smallest Starlette application that reads the
body, the query and the content type and answers the same JSON, without a log, metrics, limits or guards. wrk must be on
the PATH. Processor time is counted, not requests a second, so other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

BODY = 1124  # bytes of an image of 32 x 32 pixels
ANSWER = {
    "format": 1,
    "path": "image",
    "label": "0",
    "probability": 0.9,
    "top": [[label, 0.02] for label in "01234"],
    "abstained": False,
    "strange": None,
    "unknown": None,
}


def starlette_app() -> Any:
    """Return the smallest application of the framework."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def predict(request: Any) -> Any:
        await request.body()
        request.query_params.get("top")
        request.headers.get("content-type")
        return JSONResponse(ANSWER)

    return Starlette(routes=[Route("/predict/{name}", predict, methods=["POST"])])


def serve_app(log: Path | None) -> Any:
    """Return the application of `serve`, with a model that does nothing."""
    from types import SimpleNamespace

    import numpy as np

    from transfercli.data.image import Geometry
    from transfercli.web.address import Address
    from transfercli.workflows.predict.predictions import Prediction
    from transfercli.workflows.serve.app import build_app
    from transfercli.workflows.serve.hosting import Answers
    from transfercli.workflows.serve.service import Settings

    labels, row = tuple("0123456789"), np.full(10, 0.1, np.float32)
    top = tuple((label, 0.02) for label in labels[:5])
    version: Any = SimpleNamespace(source=SimpleNamespace(version="1"), labels=labels)
    model: Any = SimpleNamespace(name="a", version="1", labels=labels, geometry=Geometry(32, 32), state="ready")

    async def answer(images: Any, options: Any) -> Answers:
        return Answers([Prediction("", top)] * len(images), version, [row] * len(images))

    model.answer = answer
    return build_app({"a": model}, Settings(Address(port=1), log=log.open("w") if log else None))


APPS: dict[str, Callable[[Path], Any]] = {
    "starlette": lambda _: starlette_app(),
    "serve": lambda _: serve_app(None),
    "serve and its log": lambda folder: serve_app(folder / "log"),
}


def run(name: str, folder: Path) -> None:
    """Serve an application of the table until the process is ended, and print the port."""
    from transfercli.reporting import Reporter
    from transfercli.web.address import Address
    from transfercli.web.server import run_server

    run_server(APPS[name](folder), Address(), Reporter(), started=lambda real: print(real.port, flush=True))


def processor_seconds(process: int) -> float:
    """Return the processor time of a process, of all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, seconds: int, clients: int) -> float:
    """Return the microseconds of processor time of a request."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {BODY})\n')
        command = [sys.executable, "-m", "benchmarks.serve_layer", "--run", name, "--folder", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                address = f"http://127.0.0.1:{server.stdout.readline().strip()}/predict/a"
                load = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}", "-s", str(script), address]
                subprocess.run(load, check=True, capture_output=True)  # warm
                before = processor_seconds(server.pid)
                output = subprocess.run(load, check=True, capture_output=True, text=True).stdout
                used = processor_seconds(server.pid) - before
            finally:
                server.kill()
    found = re.search(r"(\d+) requests in", output)
    assert found is not None, output
    assert "Non-2xx" not in output, output
    return used / int(found[1]) * 1e6


def main() -> None:
    """Print a row for each application."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--run", choices=APPS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.run:
        run(options.run, options.folder)
        return
    for name in APPS:
        rounds = sorted(measure(name, options.seconds, options.clients) for _ in range(3))
        print(f"{name}: {rounds[1]:.0f} µs ({rounds[0]:.0f} to {rounds[2]:.0f})", flush=True)


if __name__ == "__main__":
    main()
