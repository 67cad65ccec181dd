"""The guard in front of every page: it refuses requests that did not come through the console's own address.

1. Host and Origin must be the console's own, or its proxy's, so that no other site can read it under a name of its own
   (DNS rebinding).
2. Whatever changes something needs `--write` and somebody who is known: by the token as a bearer token, by a session,
   or by the name that the proxy gives. A session's cookie is sent by the console's own pages alone (SameSite=Strict),
   and a form must carry its key as well. What a proxy lets through must carry the key too, or be JSON, which no
   other site can send without asking first.
3. Every answer carries the headers that keep scripts, frames and other origins out.
"""

from typing import NamedTuple
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmctx.console.access import Door
from llmctx.console.sessions import Bucket, FormKeys, Rate, Sessions, form_in
from llmctx.limits import MAX_BY_CHARS

_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",  # with no-referrer browsers send forms with the origin null
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_GETS = ("GET", "HEAD")
_STATIC = "/static/"
_OPEN_PATHS = ("/sign-in", _STATIC)
_TRIES, _TRIES_PER_S = 10.0, 0.5
_READS, _READS_PER_S = 200.0, 20.0
_WRITES, _WRITES_PER_S = 200.0, 50.0
_MAX_BODY_BYTES = 64 * 1024


class Caller(NamedTuple):
    """The sender of a request."""

    client: str
    """The address from which it comes, and behind the proxy the name as well."""
    proxied: bool
    """Whether it comes through the proxy."""
    user: str
    """The name that the proxy gives; empty if it gives none."""
    session: str
    """The value of the cookie of an open session; empty without one."""

    @property
    def who(self) -> str:
        """The text that the form key is derived from; empty if nobody is signed in."""
        return f"session {self.session}" if self.session else f"user {self.user}" if self.user else ""


class Guard:
    """The outermost part of the console's application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door
        self._sessions = Sessions()
        self._form_keys = FormKeys()
        # One for all clients: behind a tunnel they have one address, and a token cannot be guessed in any case.
        self._failures = Bucket(_TRIES, _TRIES_PER_S)
        self._reads, self._writes = Rate(_READS, _READS_PER_S), Rate(_WRITES, _WRITES_PER_S)
        self._secure = any(origin.startswith("https:") for origin in door.origins)

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
        caller = self._caller(request)
        scope["form_key"] = self._form_keys.of(caller.who) if caller.who else ""
        scope["user"] = caller.user
        answer = self._refuse(request, caller)
        if answer is None and request.method not in _GETS:
            body = await request.body()
            receive = _once(body, receive)  # the application behind the guard reads it again
            signs_in = request.url.path == "/sign-in"
            answer = self._sign_in(body, caller) if signs_in else self._unless_known(request, caller, body)
        await (answer or self._app)(scope, receive, send_guarded)

    def _caller(self, request: Request) -> Caller:
        address = "" if request.client is None else request.client.host
        proxy, user = self._door.proxy, ""
        proxied = proxy is not None and proxy.sends(address, request.headers.get("host", "").lower())
        if proxy is not None and proxied:
            names = [name.strip() for name in request.headers.getlist(proxy.header)]
            # There are two names, and one of them may come from the browser.
            user = names[0] if len(names) == 1 and names[0].isprintable() and len(names[0]) <= MAX_BY_CHARS else ""
        session = request.cookies.get(self._cookie(proxied=proxied), "")
        held = session if self._sessions.holds(session) else ""
        return Caller(f"{address} {user}", proxied, user, held)

    def _refuse(self, request: Request, caller: Caller) -> Response | None:
        """Refuse requests that no page accepts, before their body is read; None if the request may go on."""
        if not self._is_own(request, caller):
            return _refusal(
                403, "This address is not the console's.", "Open the address that `llmctx console` printed."
            )
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES or "transfer-encoding" in request.headers:
            return _refusal(
                413, "The request is too large.", f"Send at most {_MAX_BODY_BYTES} bytes, with their length."
            )
        reads = request.method in _GETS
        is_static = request.url.path.startswith(_STATIC)
        if not is_static and not (self._reads if reads else self._writes).take(caller.client):
            return _refusal(429, "Too many requests.", "Wait a second.")
        if request.url.path.startswith(_OPEN_PATHS):
            return None
        if reads:
            needed = self._door.reads_need_token or caller.proxied
            return self._unless_known(request, caller, None) if needed else None
        return None if self._door.writes else _refusal(403, "This console is read-only.", "Start it with --write.")

    def _unless_known(self, request: Request, caller: Caller, body: bytes | None) -> Response | None:
        """Refuse unknown senders; `body` is that of a request that changes something."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._door.accepts(token):
            return None
        if caller.who and (body is None or self._form_keys.fits(caller.who, body)):
            return None
        is_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
        if caller.user and is_json:
            return None
        if kind and not self._failures.take():
            return _refusal(429, "Too many wrong tokens.", "Wait a minute.")
        if body is None and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/sign-in?to={quote(request.url.path)}", 303)
        return _refusal(401, "The token is missing or wrong.", "Send it: Authorization: Bearer TOKEN.")

    def _sign_in(self, body: bytes, caller: Caller) -> Response:
        if not self._failures.take():
            return _refusal(429, "Too many attempts.", "Wait a minute.")
        form = form_in(body)
        if not self._door.accepts(form.get("token", "").strip()):
            return RedirectResponse("/sign-in?wrong=1", 303)
        to = form.get("to", "/")
        # Only a path: //elsewhere and /\elsewhere would lead away.
        answer = RedirectResponse(to if to[:1] == "/" and to[1:2] not in ("/", "\\") else "/", 303)
        answer.set_cookie(
            self._cookie(proxied=caller.proxied),
            self._sessions.open(),
            secure=self._is_secure(proxied=caller.proxied),
            httponly=True,
            samesite="strict",
            path="/",
        )
        return answer

    def _is_own(self, request: Request, caller: Caller) -> bool:
        """Whether Host and Origin are the console's, or those of its proxy."""
        host, origin = request.headers.get("host", "").lower(), request.headers.get("origin")
        if self._door.proxy is not None and caller.proxied:
            return origin is None or origin.lower() == self._door.proxy.origin
        own = self._door.origins
        return f"{request.url.scheme}://{host}" in own and (origin is None or origin.lower() in own)

    def _is_secure(self, *, proxied: bool) -> bool:
        proxy = self._door.proxy
        return proxy.origin.startswith("https:") if proxied and proxy is not None else self._secure

    def _cookie(self, *, proxied: bool) -> str:
        """The name of the session's cookie."""
        return "__Host-llmctx" if self._is_secure(proxied=proxied) else "llmctx"


def _once(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out a body that was read already, then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _refusal(status: int, what: str, do: str) -> Response:
    if status == 401:  # noqa: PLR2004  the one that names a scheme
        return JSONResponse({"error": what, "what_to_do": do}, status, {"www-authenticate": "Bearer"})
    headers = {"retry-after": "1"} if status == 429 else {}  # noqa: PLR2004  the one that ends by itself
    return PlainTextResponse(f"{what} {do}\n", status, headers)
