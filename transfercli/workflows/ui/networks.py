"""Networks of the site: the last few runs that were asked for, loaded and computed on a thread beside the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
from starlette.exceptions import HTTPException

from transfercli.data.dataset import Record
from transfercli.data.image import Decoded, InputImage
from transfercli.evaluation.explain.heatmaps import overlaid
from transfercli.workflows.predict.predict import Network, Prediction, PredictRequest, predict_outcomes
from transfercli.workflows.predict.predictors import loadable_run
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.recent import Recent
from transfercli.workflows.ui.stamps import stamp_of

if TYPE_CHECKING:
    from transfercli.evaluation.explain.attribution import GradientMethod

MOST_LOADED = 2
MOST_WAITING = 16  # requests for the networks
HEAT_SIDE = 320  # pixels of a heat map
Result = TypeVar("Result")
Pixels = npt.NDArray[np.uint8]


class LoadedNetwork:
    """Network of a run that is loaded when it is first used. All methods are called on the thread of `Networks`."""

    def __init__(self, run: StoredRun) -> None:
        self.run = run
        self.model = loadable_run(run)

    @cached_property
    def _network(self) -> Network:
        return Network(self.model)

    def load(self) -> StoredRun:
        """Load the network, and return its run."""
        _ = self.run.classifier
        return self.run

    @cached_property
    def by_sha256(self) -> dict[str, Record]:
        """The images that the run recorded, by the SHA-256 of their files."""
        return {record.sha256: record for record in self.run.images if record.sha256}

    def predict(self, image: InputImage, decoded: Decoded) -> Prediction:
        """Return the prediction of an image as `predict --abstain` gives it."""
        request = PredictRequest(self.run.label, Path(), (), abstain=not self.run.has_numbers)
        answers = predict_outcomes(iter([(image, decoded)]), self._network, request)
        return next(answer for answer in answers if answer is not None)

    def heat(self, pixels: Pixels, label: int) -> Pixels:
        """Return an image [H, W, 3] under the heat map of a class or label: uint8 [h, w, 3]."""
        heat = self._method.heats(pixels[None], np.array([label]))[0]
        return overlaid(enlarged(pixels, HEAT_SIDE), heat)

    @cached_property
    def _method(self) -> GradientMethod:
        from transfercli.evaluation.explain.attribution import gradient_method

        return gradient_method(self.run.classifier)

    def close(self) -> None:
        """End the thread of the network."""
        if "_network" in self.__dict__:
            self._network.__exit__()


def enlarged(image: Pixels, side: int) -> Pixels:
    """Return an image whose longer side has at least `side` pixels, for a heat map that is looked at."""
    from PIL import Image

    scale = side / max(image.shape[:2])
    if scale <= 1:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


class Networks:
    """The networks that were used last, at most `MOST_LOADED`; one thread loads and computes them.

    A run is loaded again if its files have changed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "networks")
        self._kept = Recent(MOST_LOADED, LoadedNetwork.close)
        self._waiting = 0

    async def use(self, run: StoredRun, work: Callable[[LoadedNetwork], Result]) -> Result:
        """Return what `work` makes of the network of a run. Raises 503 if too many requests wait."""
        if self._waiting >= MOST_WAITING:
            raise HTTPException(503, "too many requests wait for the network", {"Retry-After": "2"})
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._thread.submit(lambda: work(self._loaded(run))))
        finally:
            self._waiting -= 1

    def _loaded(self, run: StoredRun) -> LoadedNetwork:
        return self._kept.made((run.path, stamp_of(run.folder.record)), lambda: LoadedNetwork(run))

    def close(self) -> None:
        """End all threads."""
        self._thread.shutdown(cancel_futures=True)
        self._kept.clear()
