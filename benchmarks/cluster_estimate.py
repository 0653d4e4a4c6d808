"""Estimate on paper: hours for ten million images on 1, 8 and 64 H100s, with a frozen base and with full training.

Usage: python -m benchmarks.cluster_estimate; prints Markdown. Nothing is measured here: each constant says if it was
measured with this program, is published by others, or is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass

MEASURED, PUBLISHED, ASSUMED = "measured", "published", "assumed"
NVIDIA = "NVIDIA DeepLearningExamples"


@dataclass(frozen=True)
class Constant:
    """A number of the estimate. kind: measured, published or assumed."""

    meaning: str
    value: float
    unit: str
    kind: str
    source: str


IMAGES = Constant("images", 10e6, "", ASSUMED, "the question")
EPOCHS = Constant("epochs of full training", 20, "", ASSUMED, "default of `training.epochs`")
FILE_BYTES = Constant("mean size of a file", 1e6, "bytes", ASSUMED, "JPEG photographs of 1 to 12 megapixels")
ROW_BYTES = Constant("cached image at 224 pixels", 224 * 224 * 3, "bytes", MEASURED, "the format of the cache")
FEATURE_BYTES = Constant("pooled features of ResNet50", 2048 * 4, "bytes", MEASURED, "the format of the cache")
INGEST = Constant("ingest on one core", 2000 / 26.7 / 2, "images/s", MEASURED, "RESULTS.md, Reading images, (a)")
READER = Constant("one thread of mapped rows", 21_700, "images/s", MEASURED, "two cores, rows in memory")
A100_TRAINING = Constant("ResNet50 training, one A100 80 GB, mixed precision", 2470, "images/s", PUBLISHED, NVIDIA)
BANDWIDTH = Constant("memory bandwidth, H100 SXM over A100 80 GB", 3.35 / 2.04, "", PUBLISHED, "NVIDIA's data sheets")
FORWARD = Constant("forward pass over training step", 3382 / 1200, "", PUBLISHED, f"{NVIDIA}, V100, batch 256")
SHARE = Constant("share of the device's limit that the program reaches", 0.9, "", ASSUMED, "the aim of gpu.sh")
PARAMETERS = Constant("parameters of ResNet50", 25.6e6, "", PUBLISHED, "He et al. 2016; gradients in float32")
BATCH = Constant("images of a step on one device", 256, "", ASSUMED, "")
NVLINK = Constant(
    "NVLink of an H100, one direction", 450e9, "bytes/s", PUBLISHED, "NVIDIA's data sheet, 900 GB/s both ways"
)
NETWORK = Constant("network of a device to other hosts", 50e9, "bytes/s", PUBLISHED, "DGX H100: 400 Gbit/s a device")
EFFICIENCY = Constant("share of a link's rate in an all-reduce", 0.8, "", ASSUMED, "no overlap with the backward pass")
CORES = Constant("processor cores for each device", 14, "", PUBLISHED, "DGX H100: 112 cores, 8 devices")
DEVICES_PER_HOST = Constant("devices of a host", 8, "", PUBLISHED, "DGX H100")
STORAGE = Constant("shared storage of a host", 3.1e9, "bytes/s", ASSUMED, "25 Gbit/s")
DISK = Constant("disk of a host", 6e9, "bytes/s", ASSUMED, "one NVMe drive, large reads of many rows")
HEAD_PASSES = Constant("passes over the features for the head", 30, "", ASSUMED, "on one host")

CONSTANTS = [value for value in list(globals().values()) if isinstance(value, Constant)]


@dataclass(frozen=True)
class Estimate:
    """Hours of a task. limit: the part that decides its speed; rate: images a second of that part."""

    devices: int
    hosts: int
    ingest: float
    work: float
    rate: float
    limit: str

    @property
    def total(self) -> float:
        """Hours from files to the trained model."""
        return self.ingest + self.work


def h100_training() -> float:
    """Return the images a second of a training step on one H100, if memory bandwidth decides."""
    return A100_TRAINING.value * BANDWIDTH.value


def all_reduce_seconds(devices: int) -> float:
    """Return the seconds of a ring all-reduce of the gradients; the slowest link of the ring decides."""
    if devices == 1:
        return 0.0
    link = NVLINK if devices <= DEVICES_PER_HOST.value else NETWORK
    sent = 2 * (devices - 1) / devices * PARAMETERS.value * 4
    return float(sent / (link.value * EFFICIENCY.value))


def hosts_of(devices: int) -> int:
    """Return the number of hosts that hold the devices."""
    return -(-devices // int(DEVICES_PER_HOST.value))


def ingest_hours(devices: int) -> float:
    """Return the hours of decoding all files once, by all cores; each host has a shard."""
    decoded = INGEST.value * CORES.value * devices
    read = STORAGE.value / FILE_BYTES.value * hosts_of(devices)
    return float(IMAGES.value / min(decoded, read) / 3600)


def slowest(devices: int, computed: float) -> tuple[float, str]:
    """Return the images a second of the slowest of computing, the reading threads (one a host) and the disks."""
    hosts = hosts_of(devices)
    rates = {
        "device": computed,
        "reading thread": READER.value * hosts,
        "disk": DISK.value / ROW_BYTES.value * hosts,
    }
    limit = min(rates, key=rates.__getitem__)
    return rates[limit], limit


def frozen(devices: int) -> Estimate:
    """Estimate features of a frozen ResNet50, and a head on them."""
    rate, limit = slowest(devices, SHARE.value * FORWARD.value * h100_training() * devices)
    head = HEAD_PASSES.value * IMAGES.value * FEATURE_BYTES.value / DISK.value
    hours = (IMAGES.value / rate + head) / 3600
    return Estimate(devices, hosts_of(devices), ingest_hours(devices), hours, rate, limit)


def full(devices: int) -> Estimate:
    """Estimate the training of all layers."""
    seconds = BATCH.value / (SHARE.value * h100_training()) + all_reduce_seconds(devices)
    rate, limit = slowest(devices, devices * BATCH.value / seconds)
    hours = EPOCHS.value * IMAGES.value / rate / 3600
    return Estimate(devices, hosts_of(devices), ingest_hours(devices), hours, rate, limit)


def markdown() -> str:
    """Return the tables of the estimates and of their constants."""
    lines = [
        "| work | H100s | hosts | ingest, hours | then, hours | in all, hours | images/s | limited by |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, estimate in (("frozen base, features and head", frozen), ("full training", full)):
        for devices in (1, 8, 64):
            one = estimate(devices)
            hours = " | ".join(f"{value:.2f}" for value in (one.ingest, one.work, one.total))
            lines.append(f"| {name} | {devices} | {one.hosts} | {hours} | {one.rate:,.0f} | {one.limit} |")
    cache, features = (IMAGES.value * each.value / 1e12 for each in (ROW_BYTES, FEATURE_BYTES))
    reduced = ", ".join(f"{1e3 * all_reduce_seconds(devices):.1f} ms on {devices}" for devices in (8, 64))
    step = 1e3 * BATCH.value / SHARE.value / h100_training()
    lines += [
        "",
        f"The image cache has {cache:.2f} TB, the features {features:.2f} TB.",
        f"An all-reduce of the gradients takes {reduced}; a step of {BATCH.value:.0f} images {step:.0f} ms.",
        "",
        "| constant | value | kind | source |",
        "| --- | ---: | --- | --- |",
    ]
    lines += [f"| {c.meaning} | {c.value:,.4g} {c.unit} | {c.kind} | {c.source} |" for c in CONSTANTS]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
