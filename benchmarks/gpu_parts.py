"""Parts of `gpu.py`, each in a process of its own: one kind of work by one library in one precision.

Usage: python -m benchmarks.gpu_parts JSON; prints a JSON object with `images_per_second` as its last line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CLASSES = 5


def main() -> None:
    """Measure one part and print its result."""
    request = json.loads(sys.argv[1])
    print(json.dumps(PARTS[request["library"], request["work"]](request)))


# -- this program


def program_features(request: dict[str, Any]) -> dict[str, Any]:
    """Measure the program's pass of a frozen base over images in its cache, to features in memory."""
    from transfercli.reporting import Reporter
    from transfercli.transfer.features.prefix import compute_features
    from transfercli.workflows.train.job import TrainRequest, resolve_job
    from transfercli.workflows.train.stopwatch import Stopwatch
    from transfercli.workflows.train.train import prepare

    file = _config(request, "features", {"strategy": "linear_probe"}, epochs=1)
    job = resolve_job(TrainRequest("finetune", file, file.parent / "runs"), Reporter())
    with job.loaded.placing():
        builder = prepare(job, Stopwatch(), Reporter()).setup.builder
        prefix = builder.prefix_of(builder.cut_after_base())
        images = builder.inputs.training.images
        rows = np.arange(len(images))

        def run() -> None:
            for _ in compute_features(prefix, images, rows, Reporter()):
                pass

        run()  # compiles
        return _device() | {"images_per_second": len(rows) / _seconds(run), "batch": getattr(prefix, "batch", 32)}


def program_training(request: dict[str, Any], preset: str = "none") -> dict[str, Any]:
    """Measure epochs of full fine-tuning by the program, without validation; the first one compiles."""
    from transfercli.reporting import Reporter
    from transfercli.workflows.train.job import TrainRequest
    from transfercli.workflows.train.train import train

    phase = {"unfreeze": "all", "epochs": request["epochs"], "learning_rate": 1e-4}
    file = _config(request, preset, {"phases": [phase]}, request["epochs"], {"preset": preset})
    result = train(TrainRequest("finetune", file, file.parent / "runs"), Reporter()).as_json()
    lines = map(json.loads, (Path(result["run"]) / "metrics.jsonl").read_text().splitlines())
    speeds = [line["images_per_second"] for line in lines]
    return _device() | {"images_per_second": max(speeds[1:]), "epochs": speeds, "seconds_of_steps": result["seconds"]}


def program_augmented(request: dict[str, Any]) -> dict[str, Any]:
    """Measure training with augmentation inside the step."""
    return program_training(request, "medium")


def _config(
    request: dict[str, Any],
    name: str,
    transfer: dict[str, Any],
    epochs: int,
    augmentation: dict[str, Any] | None = None,
) -> Path:
    """Write a config of the program, with random weights, and return its path."""
    work = Path(request["work_folder"])
    config = {
        "name": f"{name}-{request['precision']}",
        "data": {
            "train": str(work / "images"),
            "test": None,
            "validation": 0.1,
            "image_size": request["side"],
            "batch_size": request["batch"],
        },
        "augmentation": augmentation or {},
        "model": {"base": request["base"], "weights": "none"},
        "transfer": transfer,
        "training": {"epochs": epochs, "optimizer": {"name": "sgd", "learning_rate": 1e-4}},
        "compute": {"precision": request["precision"], "cache_dir": str(work / "cache"), "deterministic": False},
    }
    file = work / f"{config['name']}.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


# -- bare loops of JAX on data that is on the device


def bare_features(request: dict[str, Any]) -> dict[str, Any]:
    """Measure a jitted forward pass of the pooled base on one batch on the device, as large as the program's."""
    import jax
    import keras

    from transfercli.models.passes.batch_size import batch_size

    model = _network(request)
    size = batch_size(model, request["precision"])
    images = jax.device_put(np.resize(_arrays(request)[0], (size, *model.input_shape[1:])))
    variables = model.trainable_variables + model.non_trainable_variables

    def forward(values: list[Any], images: Any) -> Any:
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return model(images, training=False)

    step, values = jax.jit(forward), [variable.value for variable in variables]
    jax.block_until_ready(step(values, images))

    def run() -> None:
        jax.block_until_ready([step(values, images) for _ in range(request["steps"])])

    return _device() | {"images_per_second": request["steps"] * size / _seconds(run), "batch": size}


def bare_training(request: dict[str, Any]) -> dict[str, Any]:
    """Measure a jitted step of loss, gradients and SGD on one batch on the device, again and again."""
    import jax

    model, size = _network(request, CLASSES), request["batch"]
    images, targets = (jax.device_put(part[:size]) for part in _arrays(request))
    optimizer = _compiled(model, request).optimizer
    optimizer.build(model.trainable_variables)

    def loss(trained: list[Any], other: list[Any], images: Any, targets: Any) -> tuple[Any, list[Any]]:
        logits, other = model.stateless_call(trained, other, images, training=True)
        logs = jax.nn.log_softmax(logits.astype("float32"))
        return -logs[np.arange(size), targets].mean(), other

    def step(state: tuple[list[Any], ...], images: Any, targets: Any) -> tuple[list[Any], ...]:
        trained, other, slots = state
        (_, other), gradients = jax.value_and_grad(loss, has_aux=True)(trained, other, images, targets)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        return trained, other, slots

    compiled = jax.jit(step, donate_argnums=0)
    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state: Any = tuple([variable.value + 0 for variable in group] for group in groups)
    state = jax.block_until_ready(compiled(state, images, targets))

    def run() -> None:
        nonlocal state
        for _ in range(request["steps"]):
            state = compiled(state, images, targets)
        jax.block_until_ready(state)

    return _device() | {"images_per_second": request["steps"] * size / _seconds(run)}


# -- plain Keras on arrays in memory


def keras_features(request: dict[str, Any]) -> dict[str, Any]:
    """Measure `predict` of the pooled base on arrays in memory."""
    model, images = _network(request), _arrays(request)[0]
    model.predict(images[: request["batch"]], batch_size=request["batch"], verbose=0)
    seconds = _seconds(lambda: model.predict(images, batch_size=request["batch"], verbose=0))
    return _device() | {"images_per_second": len(images) / seconds}


def keras_training(request: dict[str, Any]) -> dict[str, Any]:
    """Measure `fit` of all layers on arrays in memory."""
    model, (images, targets) = _compiled(_network(request, CLASSES), request), _arrays(request)
    whole = len(images) // request["batch"] * request["batch"]

    def epoch() -> None:
        model.fit(images[:whole], targets[:whole], batch_size=request["batch"], verbose=0)

    epoch()  # compiles
    return _device() | {"images_per_second": whole / min(_seconds(epoch) for _ in range(request["epochs"] - 1))}


def _network(request: dict[str, Any], classes: int = 0) -> Any:
    """Return the base with preprocessing and pooling, and a layer of `classes` logits if there are any."""
    import keras

    from transfercli.models.bases import BASES
    from transfercli.models.preprocessing import preprocess

    keras.utils.set_random_seed(0)
    if request["precision"] == "bfloat16":
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    spec, shape = BASES[request["base"]], (request["side"], request["side"], 3)
    images = keras.Input(shape, dtype="uint8")
    features = spec.build(shape)(preprocess(keras.ops.cast(images, "float32"), spec.preprocessing, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(images, keras.layers.Dense(classes, dtype="float32")(pooled) if classes else pooled)


def _compiled(model: Any, request: dict[str, Any]) -> Any:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), loss=loss, jit_compile=True)
    return model


# -- plain PyTorch on arrays in memory


def torch_features(request: dict[str, Any]) -> dict[str, Any]:
    """Measure the forward pass of torchvision's network on arrays in memory; the next batch is copied meanwhile."""
    import torch

    network, device, batches = _torch(request)
    network.fc = torch.nn.Identity()
    network.eval()

    def run() -> None:
        with torch.inference_mode(), _autocast(request, device):
            results = [network(_pixels(images, device)) for images, _ in batches]
        for result in results:
            result.cpu()

    run()
    return _torch_device(device) | {"images_per_second": sum(len(t) for _, t in batches) / _seconds(run)}


def torch_training(request: dict[str, Any]) -> dict[str, Any]:
    """Measure steps of SGD on all layers of torchvision's network on arrays in memory."""
    import torch

    network, device, batches = _torch(request)
    optimizer = torch.optim.SGD(network.parameters(), 1e-4, momentum=0.9)
    network.train()

    def epoch() -> None:
        for images, targets in batches:
            optimizer.zero_grad(set_to_none=True)
            with _autocast(request, device):
                logits = network(_pixels(images, device))
            torch.nn.functional.cross_entropy(logits.float(), targets.to(device, non_blocking=True)).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    epoch()
    best = min(_seconds(epoch) for _ in range(request["epochs"] - 1))
    return _torch_device(device) | {"images_per_second": sum(len(t) for _, t in batches) / best}


def _torch(request: dict[str, Any]) -> tuple[Any, str, list[tuple[Any, Any]]]:
    """Return torchvision's network, its device, and whole batches in memory, pinned if there is an accelerator."""
    import torch
    from torchvision import models

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    build = getattr(models, request["base"], models.resnet18)  # PyTorch has no small network
    network = build(num_classes=CLASSES).to(device, memory_format=torch.channels_last)
    images, targets = (torch.from_numpy(part) for part in _arrays(request))
    if device == "cuda":
        images, targets = images.pin_memory(), targets.pin_memory()
    size = request["batch"]
    starts = range(0, len(images) // size * size, size)
    return network, device, [(images[start : start + size], targets[start : start + size]) for start in starts]


def _pixels(images: Any, device: str) -> Any:
    """Return images uint8 [n, H, W, 3] as float32 [n, 3, H, W] on the device."""
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 127.5 - 1


def _autocast(request: dict[str, Any], device: str) -> Any:
    import torch

    return torch.autocast(device, torch.bfloat16, enabled=request["precision"] == "bfloat16")


def _torch_device(device: str) -> dict[str, Any]:
    import torch

    return {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "torch": torch.__version__}


# -- helpers


def _arrays(request: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return all images, uint8 [N, H, W, 3], and their classes, int64 [N]."""
    from benchmarks.workbench import read_images

    images, targets = read_images(Path(request["work_folder"]) / "images")
    return images, targets.astype(np.int64)


def _device() -> dict[str, Any]:
    import jax

    return {"device": jax.devices()[0].device_kind, "jax": jax.__version__}


def _seconds(call: Callable[[], Any]) -> float:
    """Return the wall-clock seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


PARTS: dict[tuple[str, str], Callable[[dict[str, Any]], dict[str, Any]]] = {
    ("program", "features"): program_features,
    ("program", "training"): program_training,
    ("program", "augmented"): program_augmented,
    ("bare", "features"): bare_features,
    ("bare", "training"): bare_training,
    ("keras", "features"): keras_features,
    ("keras", "training"): keras_training,
    ("torch", "features"): torch_features,
    ("torch", "training"): torch_training,
}

if __name__ == "__main__":
    main()
