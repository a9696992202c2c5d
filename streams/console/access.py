"""Who may talk to the console, and what browsers may do with its pages.

A page of another site can make a browser send requests here. So the `Host` must be this machine
where the console listens on loopback only (DNS rebinding), and what changes something must come
from a page of the console itself. Elsewhere a token is needed, which a cookie stands for.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.console.problem import problem_response

__all__ = ["LOOPBACK", "Access", "Guard"]

#: Addresses and names that mean this machine.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

#: Every response has these. Trusted types: no text of a record can become markup, by mistake.
_SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer, by which a form of our own would be sent with the origin null.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: What the page of the login itself needs, and holds nothing of anyone.
_PUBLIC = "/static/"
_COOKIE_SECONDS = 30 * 24 * 3600
#: Seconds that a wrong token is answered after, and the most of such answers at once.
_WRONG_DELAY = 1.0
_WRONG_AT_ONCE = 10
#: Bytes of what is posted: a token, or why something is done.
_LONGEST_BODY = 16_384


@dataclass(frozen=True)
class Access:
    """The names that a console goes by, None any; and its token, None where none is asked for."""

    hosts: frozenset[str] | None = LOOPBACK
    token: str | None = field(default=None, repr=False)


class Guard:
    """Lets requests through to `app`, or answers them itself."""

    def __init__(self, app: ASGIApp, access: Access, login_page: str) -> None:
        """`login_page` is HTML with a form that posts `token` to /login."""
        self._app = app
        self._access = access
        self._login_page = login_page
        self._wrong = asyncio.Semaphore(_WRONG_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY)
            await send(message)

        refusal = await self._refusal(Request(scope, receive))
        await (refusal or self._app)(scope, receive, secured)

    async def _refusal(self, request: Request) -> Response | None:
        """What to answer instead of what was asked for; None where that may be had."""
        headers = request.headers
        if not _is_known(headers.get("host", ""), self._access.hosts):
            return problem_response(421, "this console does not go by that name")
        if request.method in _UNSAFE and not _is_of_our_page(headers):
            return problem_response(403, "only a page of this console may ask for that")
        if request.method in _UNSAFE and not _is_short(headers):
            return problem_response(413, f"at most {_LONGEST_BODY:,} bytes, whose length is told")
        if self._access.token is None or request.url.path.startswith(_PUBLIC):
            return None
        return await self._unless_logged_in(request)

    async def _unless_logged_in(self, request: Request) -> Response | None:
        if request.method == "POST" and request.url.path == "/login":
            return await self._log_in(await _posted_token(request))
        if request.method == "GET" and request.url.path == "/" and "token" in request.query_params:
            return await self._log_in(request.query_params["token"])
        if self._is_logged_in(request.headers):
            return None
        if request.url.path == "/":
            return HTMLResponse(self._login_page, status_code=401)
        return problem_response(401, "the token is needed: open the console's first page")

    async def _log_in(self, token: str) -> Response:
        if hmac.compare_digest(token.encode(), (self._access.token or "").encode()):
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(
                self._cookie_name(),
                self._cookie_value(),
                max_age=_COOKIE_SECONDS,
                httponly=True,
                samesite="strict",
            )
            return response
        async with self._wrong:
            await asyncio.sleep(_WRONG_DELAY)
        return HTMLResponse(self._login_page, status_code=403)

    def _is_logged_in(self, headers: Headers) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie_name())
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(
            cookie.value.encode(), self._cookie_value().encode()
        )

    def _cookie_name(self) -> str:
        """Cookies know no ports: consoles of one host with different tokens have different ones."""
        return f"tape_console_{self._derived('name')[:8]}"

    def _cookie_value(self) -> str:
        return self._derived("cookie")

    def _derived(self, purpose: str) -> str:
        key = (self._access.token or "").encode()
        return hmac.new(key, f"tickertape console {purpose}".encode(), hashlib.sha256).hexdigest()


def _is_known(host: str, known: frozenset[str] | None) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and (known is None or name in known)


def _is_of_our_page(headers: Headers) -> bool:
    """Browsers say where a request comes from; a program has to say the same of itself."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in {None, "same-origin"} or (site is None and origin is None):
        return False
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _is_short(headers: Headers) -> bool:
    length = headers.get("content-length", "")
    return length.isdecimal() and int(length) <= _LONGEST_BODY


async def _posted_token(request: Request) -> str:
    body = await request.body()
    return parse_qs(body.decode(errors="replace")).get("token", [""])[0]
