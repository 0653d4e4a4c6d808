"""Load on `transfercli serve` over loopback, relative to `predict` on the same encoded images (needs wrk, Linux).

Usage: python -m benchmarks.serve_load OUT.json [--base small_cnn] [--side 32] [--file-side 32] [--export onnx]
           [--seconds 8] [--rounds 3] [--requests 100000] [--parts load,memory,promotion,start]

Solves a head on a base with random weights (small_cnn: a linear probe as well), serves the run, or its export, and has
wrk send one JPEG a request to POST /predict/NAME on connections that are kept open. Server, models, decoders and wrk
share the machine. Each round measures `predict` before and after the load, from its first line to its last, with
decoding, and without the start of the program; the share is that of the mean of the two. `cpu_share` is the same in
processor seconds an image, without those of wrk: other load of the machine affects it less.

load: requests a second, 50th and 99th percentile with 1, 8 and 64 clients; the mean size and seconds of a batch, from
/metrics; the 99th percentile at 8 clients in batch times. memory: resident memory of all processes of the server over
many requests by 64 clients. promotion: failed requests of 16 clients while a champion is promoted, and the new one's
first answer. start: seconds from the command to the first answer; meaningful on an idle machine only, so the processor
seconds of all processes are given, too.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.predict import predict_costs
from benchmarks.workbench import finetune, make_config, prepare_backend, write_images, write_weights

CLIENTS = (1, 8, 64)
DISTINCT = 512  # images that requests take turns with
NAME = "model"
# wrk gives each thread a state of its own; there is one thread, so each request is the next image.
SCRIPT = """
local bodies, at = {{}}, 0
function init(args)  -- the header Host is set by now
  for path in io.lines('{paths}') do
    local file = io.open(path, "rb")
    bodies[#bodies + 1] = wrk.format("POST", "/predict/{name}", {{["Content-Type"] = "image/jpeg"}}, file:read("*a"))
    file:close()
  end
end
function request() at = at % #bodies + 1; return bodies[at] end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "failed": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Server:
    """Server that runs. seconds: from its start to its first answer; cpu: of all its processes until then."""

    process: subprocess.Popen[str]
    port: int
    seconds: float
    cpu: float

    def processes(self) -> list[int]:
        """Return the ids of the server and its children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu_seconds(self) -> float:
        """Return the processor seconds of all processes so far."""
        return sum(map(cpu_seconds, self.processes()))

    def resident_mb(self) -> float:
        """Return the resident memory of all processes; pages that they share count once (PSS)."""
        rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.processes())
        return sum(int(match[1]) for text in rollups if (match := re.search(r"^Pss:\s+(\d+)", text, re.M))) / 1024

    def batches(self) -> tuple[float, float, float]:
        """Return the number of batches, their images and their seconds so far."""
        text = get(self.port, "/metrics")[1].decode()
        names = ("batch_seconds_count", "batch_images_sum", "batch_seconds_sum")
        found = [re.search(rf"^transfercli_{name}{{[^}}]*}} (\S+)", text, re.M) for name in names]
        count, images, seconds = (float(match[1]) if match else 0.0 for match in found)
        return count, images, seconds


def get(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of the answer to one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(target: str, image: bytes, *options: str) -> Iterator[Server]:
    """Yield a server that has answered one image."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "transfercli", "serve", f"{NAME}={target}", "--port", "0", *options, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            port = int(address.rpartition(":")[2])
            status, body = get(port, f"/predict/{NAME}", image)
            seconds = time.perf_counter() - started
            assert status == 200, body
            server = Server(process, port, seconds, 0.0)
            yield replace(server, cpu=server.cpu_seconds())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


class Load:
    """wrk with a list of images."""

    def __init__(self, work: Path, images: list[str]) -> None:
        paths, self.script = work / "images.txt", work / "post.lua"
        paths.write_text("\n".join(images))
        self.script.write_text(SCRIPT.format(paths=str(paths), name=NAME))

    def start(self, port: int, clients: int, seconds: int) -> subprocess.Popen[str]:
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(self.script)]
        return subprocess.Popen([*command, f"http://127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True)

    def result(self, process: subprocess.Popen[str]) -> dict[str, float]:
        """Return requests, requests a second, p50 and p99 in milliseconds, and the number that failed."""
        output, _ = process.communicate()
        facts = json.loads(output.splitlines()[-1])
        rate = facts["requests"] / facts["microseconds"] * 1e6
        latency = {name: facts[name] / 1000 for name in ("p50", "p99")}
        return {"requests": facts["requests"], "per_second": rate, **latency, "failed": facts["failed"]}

    def run(self, port: int, clients: int, seconds: int) -> dict[str, float]:
        return self.result(self.start(port, clients, seconds))


def predict_speed(target: str, folder: Path) -> tuple[float, float]:
    """Return the images a second of `predict` on a folder, from its first line to its last, and CPU ms an image.

    Processor time is that of all classes less that of one, so that the start of the program is not in it.
    """
    part, whole = predict_costs(target, [str(folder / "class0")]), predict_costs(target, [str(folder)])
    cpu = 1000 * (whole["cpu"] - part["cpu"]) / (whole["lines"] - part["lines"])
    return (whole["lines"] - 1) / (whole["last"] - whole["first"]), cpu


def measure_load(target: str, photos: Path, load: Load, image: bytes, seconds: int) -> dict[str, Any]:
    """Measure one round: `predict`, the load of 1, 8 and 64 clients, and `predict` again."""
    before, cpu_before = predict_speed(target, photos)
    found: dict[str, Any] = {}
    with serving(target, image) as server:
        load.run(server.port, CLIENTS[-1], 1)
        for clients in CLIENTS:
            start, cpu = np.array(server.batches()), server.cpu_seconds()
            row = load.run(server.port, clients, seconds)
            row["cpu_ms"] = 1000 * (server.cpu_seconds() - cpu) / row["requests"]
            assert not row["failed"], row
            count, images, busy = np.array(server.batches()) - start
            row |= {"batch_images": images / count, "batch_ms": 1000 * busy / count}
            found[f"clients_{clients}"] = row | {"p99_in_batches": row["p99"] / row["batch_ms"]}
    after, cpu_after = predict_speed(target, photos)
    mean, cpu = (before + after) / 2, (cpu_before + cpu_after) / 2
    for row in found.values():
        row |= {"share": row["per_second"] / mean, "cpu_share": cpu / row["cpu_ms"]}
    return {"predict": [before, after], "predict_cpu_ms": [cpu_before, cpu_after], **found}


def measure_memory(target: str, load: Load, image: bytes, requests: int) -> dict[str, Any]:
    """Return the memory of the server as it grows with the number of requests."""
    points: list[tuple[int, float]] = []
    with serving(target, image) as server:
        done = failed = 0
        while done < requests:
            row = load.run(server.port, CLIENTS[-1], 5)
            done, failed = done + int(row["requests"]), failed + int(row["failed"])
            points.append((done, round(server.resident_mb(), 1)))
    return {"points": points, "failed": failed, "growth": points[-1][1] / points[0][1] - 1}


def measure_promotion(runs: list[str], load: Load, image: bytes) -> dict[str, Any]:
    """Return the failed requests while another run becomes the champion, and the seconds until it answers."""
    folder = Path(runs[0]).parent.parent

    def promote(run: str) -> None:
        command = [sys.executable, "-m", "transfercli", "promote", run, "--runs", str(folder), "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    promote(runs[0])
    with serving(f"{Path(runs[0]).parent.name}@champion", image, "--runs", str(folder)) as server:
        process = load.start(server.port, 16, 80)
        promote(runs[1])
        started, version = time.perf_counter(), ""
        while version != Path(runs[1]).name and process.poll() is None:
            time.sleep(0.2)
            status = json.loads(get(server.port, f"/v1/models/{NAME}")[1])
            version = status["model_version_status"][0]["version"]
        swapped = time.perf_counter() - started
        row = load.result(process)
    return {**row, "swapped": version == Path(runs[1]).name, "seconds_to_swap": swapped}


def measure_start(target: str, image: bytes, rounds: int) -> dict[str, Any]:
    """Return the seconds from the command to the first answer, and the processor seconds."""
    starts = []
    for _ in range(rounds):
        with serving(target, image) as server:
            starts.append((server.seconds, server.cpu))
    wall, cpu = zip(*starts, strict=True)
    return {"seconds": statistics.median(wall), "least": min(wall), "cpu": statistics.median(cpu)}


def make_runs(work: Path, options: argparse.Namespace) -> tuple[list[str], str, Path, list[str]]:
    """Return two runs of an experiment, the target to serve, the folder for `predict` and images for requests."""
    photos = write_images(work / "photos", options.images, options.file_side)
    files = sorted(photos.glob("*/*.jpg"), key=lambda path: path.name)
    training = work / "few"
    for path in files[:200]:
        link = training / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)
    images = np.random.default_rng(0).integers(0, 256, (16, options.side, options.side, 3), np.uint8)
    weights = write_weights(work / "weights.safetensors", options.base, images)
    config = make_config(training, weights, options.base, options.side, None, transfer={"strategy": "linear_probe"})
    runs = [str(finetune(work, "few", {**config, "seed": seed})["run"]) for seed in (0, 1)]
    target = runs[0]
    if options.export:
        command = ["export", target, "--format", options.export, "--runs", str(Path(target).parent.parent), "--quiet"]
        subprocess.run([sys.executable, "-m", "transfercli", *command], check=True, stdout=subprocess.DEVNULL)
        target = str(Path(target) / "exports" / options.export)
    return runs, target, photos, [str(path) for path in files[:DISTINCT]]


def measure(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    runs, target, photos, images = make_runs(work, options)
    load, image = Load(work, images), Path(images[0]).read_bytes()
    found: dict[str, Any] = {"load_average": os.getloadavg()[0]}
    parts = options.parts.split(",")
    if "load" in parts:
        rounds = [measure_load(target, photos, load, image, options.seconds) for _ in range(options.rounds)]
        found["rounds"] = rounds
        found["share_64"] = statistics.median(one["clients_64"]["share"] for one in rounds)
        found["p99_in_batches_8"] = statistics.median(one["clients_8"]["p99_in_batches"] for one in rounds)
    if "memory" in parts:
        found["memory"] = measure_memory(target, load, image, options.requests)
    if "promotion" in parts:
        found["promotion"] = measure_promotion(runs, load, image)
    if "start" in parts:
        found["start"] = measure_start(target, image, options.rounds)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", default="small_cnn")
    parser.add_argument("--side", type=int, default=32, help="of the network's input, in pixels")
    parser.add_argument("--file-side", type=int, default=32, help="of the JPEGs")
    parser.add_argument("--images", type=int, default=8000, help="that `predict` reads")
    parser.add_argument("--export", default="", help="a format to serve in place of the run")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100_000, help="over which memory is watched")
    parser.add_argument("--parts", default="load,memory,promotion,start")
    arguments = parser.parse_args()
    prepare_backend()
    with tempfile.TemporaryDirectory() as scratch:
        result = json.dumps(measure(Path(scratch), arguments), indent=1)
    arguments.out.write_text(result)
    print(result)
