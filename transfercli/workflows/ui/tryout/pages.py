"""Pages of the try-out: the choice of a run, and the answer to a picture that is dropped, chosen or taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from transfercli.data.image import Decoded, InputImage
from transfercli.errors import TransferError
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.io.versioned import versioned
from transfercli.runs.folder import has_checkpoint
from transfercli.web.answers import answer_for, error_answer
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.networks import HEAT_SIDE, LoadedNetwork
from transfercli.workflows.ui.pictures import SMALL, RecordedFiles
from transfercli.workflows.ui.site import Section, Site
from transfercli.workflows.ui.tryout.nearest import Neighbour, TrainingIndex, TrainingIndices
from transfercli.workflows.ui.tryout.posted import PostedPictures

if TYPE_CHECKING:
    from starlette.requests import Request

ADDRESS = "/try"
MOST_RUNS = 200  # on the page that lists them


class TryoutPages:
    """Requests for the try-out of a site."""

    def __init__(self, site: Site) -> None:
        self.site, self.indices = site, TrainingIndices(site.jobs)
        self.posted, self.workers = PostedPictures(), site.workers

    def routes(self) -> list[Route]:
        """Return the routes; a picture is posted as the body of a request, and never stored."""
        run = ADDRESS + "/{experiment}/{run_id}"
        return [
            Route(ADDRESS, self.list_runs),
            Route(run, self.show),
            Route(run + "/ready", self.ready),
            Route(run + "/answer", self.answer, methods=["POST"]),
            Route(run + "/nearest", self.nearest, methods=["POST"]),
            Route(run + "/picture/{sha256}", self.picture),
        ]

    def list_runs(self, request: Request) -> Response:
        """Answer with the runs that have a model, by experiment, the newest first."""
        trained = {
            name: [run for run in reversed(runs) if has_checkpoint(run.folder)][:MOST_RUNS]
            for name, runs in self.site.index.listing().by_experiment.items()
        }
        found = [(name, runs) for name, runs in trained.items() if runs]
        return self.site.page(request, "tryout_runs.html.j2", experiments=found[:MOST_RUNS])

    def show(self, request: Request) -> Response:
        """Answer with the page of a run."""
        return self.site.page(request, "tryout.html.j2", run=self.site.run_of(request))

    async def ready(self, request: Request) -> Response:
        """Answer once the network of a run is loaded, which the first request begins."""
        run = await run_in_threadpool(self.site.run_of, request)
        try:
            await self.workers.networks.use(run, LoadedNetwork.load)
        except TransferError as error:
            return answer_for(error)
        return JSONResponse(versioned({"run": run.label, "ready": True}))

    async def answer(self, request: Request) -> Response:
        """Answer with the prediction of the posted picture, as `predict --abstain` gives it, and its heat map."""
        run = await run_in_threadpool(self.site.run_of, request)
        try:
            decoded = await self._decoded(request, run)
            content = await self.workers.networks.use(run, partial(_answer, decoded))
        except TransferError as error:
            return answer_for(error)
        return _unusable(decoded) if content is None else JSONResponse(versioned(content))

    async def nearest(self, request: Request) -> Response:
        """Answer with the nearest training images; with 202 and the stage while their features are computed."""
        run = await run_in_threadpool(self.site.run_of, request)
        try:
            decoded = await self._decoded(request, run)
            if decoded.pixels is None:
                return _unusable(decoded)
            refuse_numbers(run.config.task, "the search for training images")
            run = await self.workers.networks.use(run, LoadedNetwork.load)
        except TransferError as error:
            return answer_for(error)
        index = self.indices.of(run)
        if not isinstance(index, TrainingIndex):
            if index.state == "failed":
                self.indices.failed(run)
                return error_answer(422, "index", index.message, index.hint)
            return JSONResponse(versioned({"state": index.state, "stage": index.stage}), 202)
        found = await self.workers.networks.use(run, lambda _: index.nearest(decoded))
        address = f"{ADDRESS}/{run.label}/picture/"
        return JSONResponse(versioned({"nearest": [self._described(each, address) for each in found]}))

    async def picture(self, request: Request) -> Response:
        """Answer with the picture of a training image, named by the SHA-256 that the run recorded."""
        run = await run_in_threadpool(self.site.run_of, request)
        kept = await self.workers.networks.use(run, lambda network: network)
        record = kept.by_sha256.get(request.path_params["sha256"])
        if record is None:
            raise HTTPException(404)
        return await self.workers.pictures.answer(request, RecordedFiles(kept.run), record, SMALL)

    async def _decoded(self, request: Request, run: StoredRun) -> Decoded:
        return await self.posted.decoded(request, self.workers.decoders.of(run))

    def _described(self, neighbour: Neighbour, address: str) -> dict[str, Any]:
        record = neighbour.record
        return {
            "path": self.site.hidden(record.path),
            "label": record.label,
            "split": record.split,
            "similarity": neighbour.similarity,
            "picture": address + record.sha256,
        }


def _answer(decoded: Decoded, network: LoadedNetwork) -> dict[str, Any] | None:
    """Return the prediction of a decoded picture; None if it cannot be read."""
    if decoded.pixels is None:
        return None
    prediction = network.predict(InputImage(""), decoded)
    content = {name: value for name, value in prediction.as_json().items() if name != "path"}
    if prediction.value is None:
        label = prediction.best[0] or prediction.top[0][0]
        picture = network.heat(decoded.pixels, network.run.labels.index(label))
        content |= {"heat_of": label, "heat": image_data_url(picture, HEAT_SIDE)}
    return content


def _unusable(decoded: Decoded) -> Response:
    return error_answer(422, "image", f"this picture cannot be used: {decoded.problem}")


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the try-out."""
    return TryoutPages(site).routes()


SECTION = Section("Try out", ADDRESS, routes)
