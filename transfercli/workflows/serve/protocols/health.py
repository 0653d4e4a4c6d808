"""Health of the server: if it lives, if it answers, and what it has counted."""

from __future__ import annotations

from collections.abc import Iterable

from transfercli.io.versioned import versioned
from transfercli.web.messages import Answer, Request, json_answer
from transfercli.web.routes import Route
from transfercli.workflows.serve.hosting import READY
from transfercli.workflows.serve.protocols.plain import full_error
from transfercli.workflows.serve.protocols.protocol import WireProtocol
from transfercli.workflows.serve.service import Service

LIVE, READINESS = "/healthz", "/readyz"


class Health:
    """Handlers of the health of a server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def live(self, request: Request) -> Answer:
        """Answer that the process lives."""
        return json_answer(versioned({"status": "live"}))

    async def ready(self, request: Request) -> Answer:
        """Answer with 200 if all models are ready, and else with 503 and those that are not."""
        states = {name: model.state for name, model in sorted(self._service.models.items())}
        waiting = [name for name, state in states.items() if state != READY]
        status = "waiting" if waiting else "ready"
        return json_answer(versioned({"status": status, "not_ready": waiting}), 503 if waiting else 200)

    async def metrics(self, request: Request) -> Answer:
        """Answer with all metrics."""
        models = self._service.models.items()
        return self._service.metrics.answer({name: (model.version, model.state == READY) for name, model in models})


def _routes(service: Service) -> Iterable[Route]:
    health = Health(service)
    yield Route("GET", LIVE, health.live)
    yield Route("GET", READINESS, health.ready)
    yield Route("GET", "/metrics", health.metrics)


HEALTH = WireProtocol("health", LIVE, _routes, full_error)
