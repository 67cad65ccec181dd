"""The stand-in model: an HTTP server that speaks the chat-completions protocol and answers by rules.

It is not a language model and never claims to be one: its model name is `llmctx-standin`. It exists so that the whole
system runs, and is tested, over real HTTP without a key or a bill. The rules are in `rulebook`.

Faults can be requested by name, each with a rate, so that every failure of an endpoint can be provoked.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Mapping
from typing import Any, Self

import h11

from llmctx import canonical, clock
from llmctx.errors import EndpointError
from llmctx.llm.rulebook import Facts, decide

MODEL = "llmctx-standin"
FAULTS = (
    "http_429", "http_500", "quota", "hang", "disconnect",
    "refusal", "truncated", "filtered", "prose", "misfit", "garbage", "no_schema", "no_temperature",
)  # fmt: skip
"""The faults by name; `garbage` is a body that is not JSON, `prose` an answer that is not JSON, `misfit` one
that does not fit the schema. `no_schema` and `no_temperature` refuse requests that have one, as DeepSeek and OpenAI's
reasoning models do."""
_REFUSED = {
    "no_schema": "This response_format type is unavailable now",
    "no_temperature": "Unsupported value: 'temperature' does not support 0.0 with this model.",
}

_LARGEST_REQUEST = 4 * 1024 * 1024


class Standin:
    """The server: `async with Standin() as standin:`, then use `standin.base_url`."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency_ms: int = 0,
        faults: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        """`port` 0 takes a free one; `faults` holds rates from 0 to 1 by name; the seed makes them repeatable.

        Raises EndpointError for a fault that is not known.
        """
        for fault in faults or {}:
            if fault not in FAULTS:
                raise EndpointError(f"There is no fault {fault!r}.", f"Name one of: {', '.join(FAULTS)}.")
        self._host, self._port = host, port
        self._latency_s = latency_ms / 1000
        self._faults = dict(faults or {})
        self._random = random.Random(seed)  # noqa: S311  repeatable faults, no secret
        self._connections: set[asyncio.Task[None]] = set()
        self.requests = 0
        """The number of completions requested."""

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(self._connected, self._host, self._port)
        except OSError as error:
            raise EndpointError(
                f"The stand-in cannot listen on {self._host}:{self._port}: {error}.",
                "Name another port with --port, or 0 for a free one.",
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def base_url(self) -> str:
        """The value for LLMCTX_LLM__BASE_URL."""
        return f"http://{self._host}:{self._port}/v1"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while (request := await _read_request(connection, reader)) is not None:
            head, body = request
            status, answer = await self._respond(head.method.decode(), head.target.decode(), body)
            if answer is None:
                return
            self._send(connection, writer, status, answer)
            await writer.drain()
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()

    def _send(self, connection: h11.Connection, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-request-id", f"standin-{self.requests}"),
        ]
        if status == 429:  # noqa: PLR2004
            headers.append(("retry-after-ms", "50"))
        writer.write(
            (connection.send(h11.Response(status_code=status, headers=headers)) or b"")
            + (connection.send(h11.Data(data=body)) or b"")
            + (connection.send(h11.EndOfMessage()) or b"")
        )

    async def _respond(self, method: str, target: str, body: bytes) -> tuple[int, bytes | None]:
        """Return status and body; a body of None closes the connection."""
        if (method, target) == ("GET", "/v1/models"):
            return 200, _json({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "llmctx"}]})
        if (method, target) != ("POST", "/v1/chat/completions"):
            return 404, _error("not_found", f"the stand-in has no {method} {target}")
        self.requests += 1
        try:
            request = canonical.loads(body)
            text = "\n".join(m["content"] for m in request["messages"] if m["role"] == "user")
        except (ValueError, KeyError, TypeError) as error:
            return 400, _error("invalid_request_error", f"no chat completion request: {error}")
        if request.get("stream"):
            return 400, _error("invalid_request_error", "the stand-in does not stream")
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        faults = [name for name, rate in self._faults.items() if self._random.random() < rate]
        if (refused := next((name for name in faults if _refuses(name, request)), None)) is not None:
            return 400, _error("invalid_request_error", _REFUSED[refused])
        fault = next((name for name in faults if name not in _REFUSED), None)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault in ("hang", "disconnect"):
            return 200, None
        return self._complete(text, body, fault)

    def _complete(self, text: str, request: bytes, fault: str | None) -> tuple[int, bytes]:
        match fault:
            case "http_429":
                return 429, _error("rate_limit_exceeded", "slow down")
            case "quota":
                return 429, _error("insufficient_quota", "the quota is used up")
            case "http_500":
                return 500, _error("server_error", "something broke")
            case "garbage":
                return 200, b"<html>not a completion</html>"
        answer = json.dumps(decide(Facts(text)))
        if fault == "prose":
            answer = "I would hold this position for now."
        elif fault == "misfit":
            answer = answer.replace('"confidence": 0', '"confidence": 7')
        elif fault == "truncated":
            answer = answer[:40]
        refused = fault == "refusal"
        finish = {"truncated": "length", "filtered": "content_filter"}.get(fault or "", "stop")
        return 200, _json(
            {
                "id": f"chatcmpl-standin-{self.requests}",
                "object": "chat.completion",
                "created": clock.now_ms() // 1000,
                "model": MODEL,
                "system_fingerprint": "rules-1",
                "choices": [
                    {
                        "index": 0,
                        "message": {
                            "role": "assistant",
                            "content": None if refused else answer,
                            "refusal": "I cannot help with that." if refused else None,
                        },
                        "finish_reason": finish,
                        "logprobs": None,
                    }
                ],
                "usage": _estimated_usage(len(request), len(answer)),
            }
        )


def _refuses(fault: str, request: Mapping[str, Any]) -> bool:
    """Whether a fault refuses this request."""
    match fault:
        case "no_schema":
            asked = request.get("response_format")
            return isinstance(asked, dict) and asked.get("type") == "json_schema"
        case "no_temperature":
            return "temperature" in request
    return False


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _LARGEST_REQUEST:
                return None
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return head, bytes(body)
        else:
            return None


def _estimated_usage(prompt_bytes: int, answer_bytes: int) -> dict[str, int]:
    """Estimate tokens at four bytes each; the stand-in has no tokenizer."""
    prompt, completion = prompt_bytes // 4, answer_bytes // 4
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _error(code: str, message: str) -> bytes:
    return _json({"error": {"message": message, "type": code, "code": code, "param": None}})
