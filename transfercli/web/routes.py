"""Routes: templates of paths, and the function that answers each method."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from transfercli.web.messages import Answer, Refusal, Request

Handler = Callable[[Request], Awaitable[Answer]]
PART = re.compile(r"\\{(\w+)\\}")


@dataclass(frozen=True, slots=True)
class Route:
    """Path that is answered. template: with parts in braces, each of one segment, as `/v2/models/{name}/infer`."""

    method: str
    template: str
    handler: Handler


@dataclass(slots=True)
class Place:
    """Template of a path with the handlers of its methods."""

    template: str
    pattern: re.Pattern[str]
    handlers: dict[str, Handler] = field(default_factory=dict)

    @property
    def allowed(self) -> str:
        """Methods as the header `Allow` has them."""
        return ", ".join(sorted({*self.handlers, "OPTIONS", *(("HEAD",) if "GET" in self.handlers else ())}))

    def handler(self, method: str) -> Handler:
        """Return the function for a method. Raises `Refusal` if there is none."""
        found = self.handlers.get("GET" if method == "HEAD" else method)
        if found is None:
            raise Refusal(405, "method", f"this path takes {self.allowed}", headers={"Allow": self.allowed})
        return found


class Routes:
    """All paths of a server. The first segment of a path chooses the few templates that it is compared with."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Place] = {}
        self._by_segment: dict[str, list[Place]] = {}
        for route in routes:
            self._place(route.template).handlers[route.method] = route.handler

    def find(self, path: str) -> tuple[Place, dict[str, str]] | None:
        """Return the place of a path and its named parts; None if there is none."""
        if place := self._exact.get(path):
            return place, {}
        for place in self._by_segment.get(_segment(path), ()):
            if match := place.pattern.fullmatch(path):
                return place, match.groupdict()
        return None

    def _place(self, template: str) -> Place:
        if "{" not in template:
            return self._exact.setdefault(template, Place(template, re.compile(re.escape(template))))
        places = self._by_segment.setdefault(_segment(template), [])
        for place in places:
            if place.template == template:
                return place
        places.append(Place(template, re.compile(PART.sub(r"(?P<\1>[^/:]+)", re.escape(template)))))
        return places[-1]


def _segment(path: str) -> str:
    return path[1:].partition("/")[0]
