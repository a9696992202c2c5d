"""The console's server: pages, the stream of Pictures, looks at the tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from streams.console.access import Access, Guard
from streams.console.api import api
from streams.console.assets import Assets, load_assets
from streams.console.history import History
from streams.console.problem import Problem, problem_response
from streams.console.reads import Reads
from streams.console.source import UNWATCHED_S, WATCHED_S, PictureSource
from streams.console.stream import MOST_PAGES, Hub

__all__ = ["Console", "build_app"]

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Console:
    """An ASGI application; `hub` is the stream of its pages."""

    def __init__(self, guard: Guard, hub: Hub) -> None:
        self._guard = guard
        self.hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._guard(scope, receive, send)


def build_app(
    source: PictureSource, reads: Reads, access: Access, actions: APIRouter | None = None
) -> Console:
    """The console. While its lifespan lasts it follows `source`; at the end it closes `reads`.

    `actions` are those of streams.console.actions; without them it only reads.
    """
    assets = load_assets()
    hub = Hub(
        {
            "program": version("tickertape"),
            "version": assets.version,
            "actions": actions is not None,
        },
        lambda watched: source.change_pace(WATCHED_S if watched else UNWATCHED_S),
    )
    history = History()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(_follow(source, hub, history))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait({following})
            reads.close()

    app = FastAPI(openapi_url=None, lifespan=lifespan)
    _add_pages(app, assets)
    _add_stream(app, hub)
    app.include_router(api(reads, history))
    app.include_router(_no_actions() if actions is None else actions)
    _add_problems(app)
    return Console(Guard(app, access, assets.page("login.html").content.decode()), hub)


async def _follow(source: PictureSource, hub: Hub, history: History) -> None:
    picture = source.latest or await source.next()
    while True:
        history.add(picture)
        hub.publish(picture)
        picture = await source.next()


def _add_pages(app: FastAPI, assets: Assets) -> None:
    first = assets.page("index.html")

    @app.get("/")
    async def index(request: Request) -> Response:
        return first.response(request, "no-cache")

    @app.get("/static/{version}/{path:path}")
    async def static(request: Request, version: str, path: str) -> Response:
        return assets.response(request, version, path)

    @app.get("/favicon.ico")
    async def icon(request: Request) -> Response:
        return assets.files["icon.svg"].response(request, "no-cache")


def _add_stream(app: FastAPI, hub: Hub) -> None:
    @app.get("/events")
    async def events() -> Response:
        if hub.pages >= MOST_PAGES:
            raise Problem(503, f"{MOST_PAGES} pages are open already")
        return StreamingResponse(
            hub.frames(), media_type="text/event-stream", headers=_STREAM_HEADERS
        )


def _no_actions() -> APIRouter:
    """Says why nothing can be changed."""
    router = APIRouter()

    @router.post("/api/dead-letters/{topic}/{partition}/{offset}/{deed}")
    async def refuse() -> Response:
        raise Problem(403, "this console only reads: it was started without --allow-actions")

    return router


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return problem_response(error.status, error.detail)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return problem_response(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return problem_response(400, f"{place}: {first['msg']}")
