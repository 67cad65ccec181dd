"""The guard in front of every page: it refuses requests that did not come through the console's own address.

1. Host and Origin must be the console's own, so that no other site can read it under a name of its own (DNS rebinding).
2. Whatever changes something needs `--write` and the token, as a bearer token or by a session. A session's cookie is
   sent by the console's own pages alone (SameSite=Strict), and a form must carry the session's form key as well.
3. Every answer carries the headers that keep scripts, frames and other origins out.
"""

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qs, quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmctx import canonical, clock
from llmctx.console.access import Door

_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_READS = ("GET", "HEAD")
_OPEN_PATHS = ("/sign-in", "/static/")
_SESSION_S = 12 * 3600.0
_MAX_SESSIONS = 100
_TRIES, _TRIES_PER_S = 10.0, 0.5
_MAX_BODY_BYTES = 64 * 1024


class Sessions:
    """The sessions of those who gave the token, in memory; they end with the console or after twelve hours."""

    def __init__(self) -> None:
        self._ends_s: dict[str, float] = {}

    def open(self) -> str:
        """Open a session and return the value of its cookie."""
        value = secrets.token_urlsafe(32)
        while len(self._ends_s) >= _MAX_SESSIONS:
            del self._ends_s[next(iter(self._ends_s))]
        self._ends_s[canonical.sha256(value.encode())] = clock.monotonic_s() + _SESSION_S
        return value

    def holds(self, value: str) -> bool:
        """Whether a session of this value is open."""
        return self._ends_s.get(canonical.sha256(value.encode("utf-8", "replace")), 0.0) > clock.monotonic_s()


class Bucket:
    """How often something may still happen: a full bucket at first, and a little more each second."""

    def __init__(self, size: float, per_s: float) -> None:
        self._size, self._per_s = size, per_s
        self._left, self._at_s = size, clock.monotonic_s()

    def take(self) -> bool:
        """Take one; False if the bucket is empty."""
        now_s = clock.monotonic_s()
        self._left = min(self._size, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Guard:
    """The outermost part of the console's application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door
        self._sessions = Sessions()
        # One for all clients: behind a tunnel they have one address, and a token cannot be guessed in any case.
        self._failures = Bucket(_TRIES, _TRIES_PER_S)
        self._secure = any(origin.startswith("https:") for origin in door.origins)
        self._cookie = "__Host-llmctx" if self._secure else "llmctx"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse, one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY_HEADERS)
                headers.setdefault("cache-control", "no-store")
                if self._secure:
                    headers["strict-transport-security"] = "max-age=31536000"
            await send(message)

        request = Request(scope, receive)
        session = request.cookies.get(self._cookie, "")
        scope["form_key"] = _form_key(session) if self._sessions.holds(session) else ""
        answer = self._refuse(request)
        if answer is None and request.method not in _READS:
            body = await request.body()
            receive = _once(body, receive)  # what is behind the guard reads it again
            answer = self._sign_in(body) if request.url.path == "/sign-in" else self._unless_known(request, body)
        await (answer or self._app)(scope, receive, send_guarded)

    def _refuse(self, request: Request) -> Response | None:
        """Refuse what no page takes, before its body is read; None if the request may go on."""
        if not self._is_own(request.headers, request.url.scheme):
            return _refusal(
                403, "This address is not the console's.", "Open the address that `llmctx console` printed."
            )
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES or "transfer-encoding" in request.headers:
            return _refusal(
                413, "The request is too large.", f"Send at most {_MAX_BODY_BYTES} bytes, with their length."
            )
        if request.url.path.startswith(_OPEN_PATHS):
            return None
        if request.method in _READS:
            return self._unless_known(request, None) if self._door.reads_need_token else None
        return None if self._door.writes else _refusal(403, "This console is read-only.", "Start it with --write.")

    def _unless_known(self, request: Request, body: bytes | None) -> Response | None:
        """Refuse whoever has neither the token nor a session; `body` is that of a request that changes something."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._door.accepts(token):
            return None
        session = request.cookies.get(self._cookie, "")
        if self._sessions.holds(session) and (body is None or _has_form_key(body, session)):
            return None
        if kind and not self._failures.take():
            return _refusal(429, "Too many wrong tokens.", "Wait a minute.")
        if body is None and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/sign-in?to={quote(request.url.path)}", 303)
        return _refusal(401, "The token is missing or wrong.", "Send it: Authorization: Bearer TOKEN.")

    def _sign_in(self, body: bytes) -> Response:
        if not self._failures.take():
            return _refusal(429, "Too many attempts.", "Wait a minute.")
        form = _form_in(body)
        if not self._door.accepts(form.get("token", "").strip()):
            return RedirectResponse("/sign-in?wrong=1", 303)
        to = form.get("to", "/")
        # Only a path: //elsewhere and /\elsewhere would lead away.
        answer = RedirectResponse(to if to[:1] == "/" and to[1:2] not in ("/", "\\") else "/", 303)
        answer.set_cookie(
            self._cookie, self._sessions.open(), secure=self._secure, httponly=True, samesite="strict", path="/"
        )
        return answer

    def _is_own(self, headers: Mapping[str, str], scheme: str) -> bool:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        return f"{scheme}://{host}" in self._door.origins and (origin is None or origin.lower() in self._door.origins)


def _form_key(session: str) -> str:
    """What a form of a session's pages must carry: nobody who does not know the cookie can tell it."""
    return canonical.sha256(b"form " + session.encode("utf-8", "replace"))


def _has_form_key(body: bytes, session: str) -> bool:
    given = _form_in(body).get("form_key", "")
    return hmac.compare_digest(given.encode("utf-8", "replace"), _form_key(session).encode())


def _form_in(body: bytes) -> dict[str, str]:
    """The fields of a form; the first of each name."""
    try:
        found = parse_qs(body.decode(), max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


def _once(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out a body that was read already, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _refusal(status: int, what: str, do: str) -> Response:
    if status == 401:  # noqa: PLR2004  the one that names a scheme
        return JSONResponse({"error": what, "what_to_do": do}, status, {"www-authenticate": "Bearer"})
    return PlainTextResponse(f"{what} {do}\n", status)
