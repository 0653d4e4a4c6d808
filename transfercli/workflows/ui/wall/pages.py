"""Pages of the wall: the evaluated runs, the pictures of one evaluation, and one picture with its heat map."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from transfercli.data.dataset import Record
from transfercli.data.image import InputImage
from transfercli.evaluation.report.thumbnails import kind_of
from transfercli.io.versioned import versioned
from transfercli.workflows.ui.networks import LoadedNetwork
from transfercli.workflows.ui.pictures import LARGE, SMALL, encoded_picture, placeholder
from transfercli.workflows.ui.recent import Recent
from transfercli.workflows.ui.site import Section, Site, run_address
from transfercli.workflows.ui.wall.evaluated import ORDERS, Asked, EvaluatedImage, matrix_of, splits_of
from transfercli.workflows.ui.wall.walls import Wall, Walls

if TYPE_CHECKING:
    from starlette.requests import Request

ADDRESS = "/wall"
FIRST, MOST = 120, 400  # pictures of the page itself, and of one part that a script asks for
MATRIX_CLASSES, PAIRS = 20, 30  # classes of a whole matrix; pairs that are listed if there are more
TOP = 5
SIDES = {"small": SMALL, "large": LARGE}
MOST_RUNS = 200  # on the page that lists them


class WallPages:
    """Requests for the wall of a site."""

    def __init__(self, site: Site) -> None:
        self.site, self.walls = site, Walls()
        self.workers = site.workers
        self.heats = Recent[bytes](32 << 20, size=len)

    def routes(self) -> list[Route]:
        """Return the routes; those of pictures name images by the SHA-256 that the run recorded."""
        wall = ADDRESS + "/{experiment}/{run_id}/{split}"
        return [
            Route(ADDRESS, self.list_runs),
            Route(wall, self.show),
            Route(wall + "/tiles", self.tiles),
            Route(wall + "/image/{sha256}", self.facts),
            Route(wall + "/picture/{sha256}/{side}", self.picture),
            Route(wall + "/heat/{sha256}/{label:int}", self.heat),
        ]

    def list_runs(self, request: Request) -> Response:
        """Answer with the runs that have an evaluation, the newest first."""
        newest = [run for run in self.site.index.listing().newest if run_address(run.label)]
        found = [(run.label, splits) for run in newest if (splits := splits_of(run.folder))]
        return self.site.page(request, "wall_runs.html.j2", runs=found[:MOST_RUNS], count=len(found))

    def show(self, request: Request) -> Response:
        """Answer with the page of an evaluation."""
        wall, asked = self._wall(request), _asked(request)
        images, evaluated = wall.images(asked), wall.evaluated
        pairs = [(*pair, count) for pair, count in evaluated.pairs.most_common() if pair[0] != pair[1]]
        return self.site.page(
            request,
            "wall.html.j2",
            wall=wall,
            asked=asked,
            orders=ORDERS,
            images=images[:FIRST],
            count=len(images),
            address=_address(request),
            splits=splits_of(wall.run.folder),
            matrix=matrix_of(evaluated, MATRIX_CLASSES),
            pairs=pairs[:PAIRS],
        )

    def tiles(self, request: Request) -> Response:
        """Answer with a part of the pictures, as HTML: `from` the first one, `count` of them."""
        wall, asked = self._wall(request), _asked(request)
        start, count = _number(request, "from", 0), min(_number(request, "count", FIRST), MOST)
        images = wall.images(asked)
        shown = images[start : start + count]
        return self.site.page(
            request,
            "wall_tiles.html.j2",
            wall=wall,
            address=_address(request),
            images=shown,
            start=start,
            count=len(images),
        )

    def facts(self, request: Request) -> Response:
        """Answer with what is known of an image, as JSON."""
        wall = self._wall(request)
        image = _image(wall, request)
        evaluated = wall.evaluated
        indices = {label: number for number, label in enumerate(evaluated.labels)}
        explained = [] if evaluated.has_numbers else dict.fromkeys([*image.predicted, *image.true])
        content: dict[str, Any] = {
            "path": self.site.hidden(image.path),
            "true": list(image.true),
            "predicted": list(image.predicted),
            "right": None if evaluated.has_numbers else image.right,
            "loss": image.loss,
            "top": [list(pair) for pair in evaluated.top(image, TOP)],
            "heat": [[label, f"{_address(request)}/heat/{_sha(request)}/{indices[label]}"] for label in explained],
        }
        return JSONResponse(versioned(content))

    async def picture(self, request: Request) -> Response:
        """Answer with the picture of an image."""
        wall = await run_in_threadpool(self._wall, request)
        image = _image(wall, request)
        side = SIDES.get(request.path_params["side"])
        if side is None:
            raise HTTPException(404)
        assert image.record is not None
        return await self.workers.pictures.answer(request, wall.files, image.record, side)

    async def heat(self, request: Request) -> Response:
        """Answer with an image under its heat map for a class; the network is loaded for the first one."""
        wall = await run_in_threadpool(self._wall, request)
        image, label = _image(wall, request), request.path_params["label"]
        assert image.record is not None
        if wall.evaluated.has_numbers or label >= len(wall.evaluated.labels):
            raise HTTPException(404)
        key = wall.run.label, wall.run.path, image.record.sha256, label
        content = self.heats.get(key)
        if content is None:
            pixels = await self._pixels(wall, image.record)
            if pixels is None:
                return placeholder("not readable")
            content = encoded_picture(await self.workers.networks.use(wall.run, partial(_heat, pixels, label)))
            self.heats.put(key, content)
        return Response(content, media_type=kind_of(content), headers={"Cache-Control": "private, max-age=600"})

    async def _pixels(self, wall: Wall, record: Record) -> np.ndarray | None:
        """Return the pixels of an image as the network reads them; None if neither its file nor the cache has it."""
        if file := wall.files.file_of(record):
            [decoded] = await asyncio.wrap_future(self.workers.decoders.of(wall.run).submit([InputImage(file)]))
            if decoded.sha256 == record.sha256 and decoded.pixels is not None:
                return decoded.pixels
        return await run_in_threadpool(wall.files.cached, record)

    def _wall(self, request: Request) -> Wall:
        return self.walls.wall(self.site.run_of(request), request.path_params["split"])


def _heat(pixels: np.ndarray, label: int, network: LoadedNetwork) -> np.ndarray:
    return network.heat(pixels, label)


def _sha(request: Request) -> str:
    return str(request.path_params["sha256"])


def _image(wall: Wall, request: Request) -> EvaluatedImage:
    """Return the image that a request names by its SHA-256. Raises 404 if the run recorded none with it."""
    image = wall.evaluated.by_sha256.get(_sha(request))
    if image is None:
        raise HTTPException(404)
    return image


def _asked(request: Request) -> Asked:
    """Return the images that the query asks for; a value that is not allowed stands for the default."""
    query, default = request.query_params, Asked()
    show, sort = query.get("show", default.show), query.get("sort", default.sort)
    return Asked(
        show if show in ("mistakes", "all") else default.show,
        sort if sort in ORDERS else default.sort,
        query.get("true", ""),
        query.get("predicted", ""),
    )


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else default


def _address(request: Request) -> str:
    """Return the address of the wall of a request, without its query."""
    names = request.path_params
    return "/".join([ADDRESS, names["experiment"], names["run_id"], names["split"]])


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the wall."""
    return WallPages(site).routes()


SECTION = Section("Pictures", ADDRESS, routes)
