"""Errors and results as JSON."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from streams.reports.text import plain

__all__ = ["Problem", "json_response", "problem_response"]

_OPTIONS = orjson.OPT_UTC_Z


class Problem(Exception):
    """A request that cannot be answered; `detail` says in plain words why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def json_response(value: Any) -> Response:
    """Decimals are strings, exact, in plain notation; times are ISO 8601 in UTC."""
    content = orjson.dumps(value, default=_json_value, option=_OPTIONS)
    return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})


def problem_response(status: int, detail: str) -> Response:
    """Problem details (RFC 9457)."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(
        orjson.dumps(body),
        status_code=status,
        media_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )


def _json_value(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON")
