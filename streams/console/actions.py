"""What an operator may do by the console: have a dead letter tried again, or wait no more."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import psycopg
import structlog
from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints
from starlette.responses import Response

from projections.errors import Refusal
from streams import redrive, retry
from streams.console.problem import Problem, json_response
from streams.decisions import operator_of, send_decisions
from streams.discard import discard
from streams.errors import UserError
from streams.reports.dead_letters import Chosen
from streams.reports.reading import database_faults
from streams.settings import Endpoints, Settings

__all__ = ["Repair", "actions"]

log = structlog.get_logger(__name__)

_PLACE = "/api/dead-letters/{topic}/{partition}/{offset}"
#: Projections that may have refused one record; frames of one place are one.
_OF_ONE_PLACE = 100


class Why(BaseModel):
    """Why, for people; it is kept with the decision."""

    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Repair:
    """Does one thing at a time."""

    def __init__(self, endpoints: Endpoints, settings: Settings) -> None:
        self._endpoints = endpoints
        self._settings = settings
        self._turn = asyncio.Lock()

    async def retry(self, chosen: Chosen, why: str) -> dict[str, Any]:
        """As `tape dlq retry` does; returns what became of it, and `sent`: see `_tell`.

        Raises UserError, Refusal.
        """
        operator = operator_of(self._settings, why)
        frames, records = retry.Retried(), redrive.Redriven()
        async with self._turn:
            await retry.retry(chosen, self._endpoints, operator, _OF_ONE_PLACE, frames, _nothing)
            await redrive.redrive(
                chosen, self._endpoints, operator, _OF_ONE_PLACE, records, _nothing
            )
            return {
                "read": frames.read,
                "projected": records.projected,
                "left": [*frames.left, *records.left],
                "failed": [*frames.unread, *records.failed],
                "sent": await self._tell(),
            }

    async def discard(self, chosen: Chosen, why: str) -> dict[str, Any]:
        """As `tape dlq discard` does. Raises UserError."""
        operator = operator_of(self._settings, why)
        async with self._turn:
            discarded = await discard(chosen, self._endpoints, operator, _OF_ONE_PLACE, _nothing)
            return {"discarded": discarded, "sent": await self._tell()}

    async def _tell(self) -> bool:
        """Whether what was decided is in the topic now; else a worker sends it later."""
        try:
            with database_faults():
                await send_decisions(self._endpoints)
        except (UserError, psycopg.Error) as error:
            log.warning("decisions are sent later", reason=str(error))
            return False
        return True


def actions(repair: Repair) -> APIRouter:
    """POST …/retry and …/discard of a dead letter."""
    router = APIRouter()

    @router.post(f"{_PLACE}/retry")
    async def try_again(topic: str, partition: int, offset: int, why: Why) -> Response:
        chosen = Chosen(topic, partition=partition, offset=offset)
        return await _done(repair.retry(chosen, why.why))

    @router.post(f"{_PLACE}/discard")
    async def give_up(topic: str, partition: int, offset: int, why: Why) -> Response:
        chosen = Chosen(topic, partition=partition, offset=offset)
        return await _done(repair.discard(chosen, why.why))

    return router


async def _done(deed: Any) -> Response:
    try:
        return json_response(await deed)
    except (UserError, Refusal) as error:
        raise Problem(503, str(error)) from None


def _nothing(_: int) -> None:
    pass
