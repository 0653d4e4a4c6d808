"""Images that the runs of a series share: they are read once, and assigned to the splits of each run."""

from __future__ import annotations

from dataclasses import replace

from transfercli.data.dataset import CacheCounts, Dataset
from transfercli.data.load import CheckedImages, DataRequest, read_checked_images
from transfercli.data.splitting.assignments import Assignments
from transfercli.reporting import Reporter
from transfercli.workflows.train.job import Job
from transfercli.workflows.train.training_data import data_request


class SharedImages:
    """Images of runs of one experiment. Runs that read them in another way, as at another size, read them anew.

    seed: of the splits; None: each run splits new images by its own seed.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._read: list[tuple[DataRequest, CheckedImages]] = []

    def read(self, job: Job, reporter: Reporter) -> Dataset:
        """Return the data set of a job; messages about the images come with the first run that reads them."""
        request = data_request(job.config, job.run.path.parent)
        request = replace(request, seed=request.seed if self.seed is None else self.seed)
        way = _way_of_reading(request)
        known = next((images for other, images in self._read if other == way), None)
        if known is None:
            images = read_checked_images(request, reporter)
            self._read.append((way, images))
            return images.dataset(request, reporter)
        dataset = known.dataset(request, Reporter())
        return replace(dataset, cache=CacheCounts(dataset.cache.hits + dataset.cache.misses))


def _way_of_reading(request: DataRequest) -> DataRequest:
    """Return the request without the values that only assign images to splits."""
    config = request.config.model_copy(update={"fold": None, "split": "hash"})
    return replace(request, config=config, assignments=Assignments(), pixel_files=(), seed=0)
