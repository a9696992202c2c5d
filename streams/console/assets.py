"""The pages' files, held in memory, compressed once.

Their address holds a hash of them all, so that browsers may keep them for ever, and an upgrade
shows at once: only the first page is asked for anew.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["PAGES", "Asset", "Assets", "load_assets"]

PAGES = Path(__file__).parent / "pages"

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
#: In HTML, the address that all other files are below.
_BASE = "{{static}}"
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    content: bytes
    media_type: str

    @cached_property
    def zipped(self) -> bytes:
        """The same, compressed by gzip."""
        return gzip.compress(self.content, mtime=0)

    @cached_property
    def etag(self) -> str:
        """What changes with the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:24]}"'

    def response(self, request: Request, cache: str) -> Response:
        """The file, or that the browser has it."""
        headers = {"Cache-Control": cache, "ETag": self.etag, "Vary": "Accept-Encoding"}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(self.content, headers=headers, media_type=self.media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(self.zipped, headers=headers, media_type=self.media_type)


@dataclass(frozen=True)
class Assets:
    """All files by their path below `pages`, and the hash of all."""

    version: str
    files: Mapping[str, Asset]

    def page(self, name: str) -> Asset:
        """An HTML file, which refers to others below `/static/<version>`."""
        found = self.files[name]
        text = found.content.decode().replace(_BASE, f"/static/{self.version}")
        return Asset(text.encode(), found.media_type)

    def response(self, request: Request, version: str, path: str) -> Response:
        """A file; 404 for one of another version, so that a page never mixes two."""
        found = self.files.get(path)
        if found is None or version != self.version:
            return Response(status_code=404)
        return found.response(request, _FOR_EVER)


def load_assets(folder: Path = PAGES) -> Assets:
    """Read the files of the pages, with the libraries that were brought when this was built."""
    files = {
        path.relative_to(folder).as_posix(): Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES
    }
    together = hashlib.sha256()
    for name, asset in files.items():
        together.update(f"{name} {asset.etag}\n".encode())
    return Assets(together.hexdigest()[:16], files)
