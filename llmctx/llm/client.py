"""The client of the Trade LLM: one call to an OpenAI-compatible endpoint, whatever its outcome.

Rules of order: this file alone owns attempts, deadline and outcomes, whichever transport posts; one deadline covers all
attempts and waits; every attempt is kept; a failure that cannot improve is not retried.
"""

import asyncio
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from llmctx import clock
from llmctx.errors import in_short
from llmctx.limits import MAX_BODY_BYTES, MAX_ERROR_CHARS, MAX_NAME_CHARS, cut
from llmctx.llm.address import NO_KEY, Address, check_endpoint, resolve, without_secrets
from llmctx.llm.advice import advice
from llmctx.llm.completion import Attempt, Completion, Outcome, read_completion
from llmctx.llm.native.address import resolve_for
from llmctx.llm.native.api import Api
from llmctx.llm.output import OutputSchema
from llmctx.llm.profile import Profile, ProfileSettings, profile_of
from llmctx.llm.reported import error_in_success, read_error
from llmctx.llm.request import RequestPlan, plan_request
from llmctx.llm.retry import is_transient, retry
from llmctx.llm.transport import REQUEST_IDS, AiohttpTransport, HttpxTransport, NoReply, Reply, Transport
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters

if TYPE_CHECKING:
    import httpx
    import httpx2

    from llmctx.llm.rate_limit import RateLimit

_NO_ANSWER = "no answer before the deadline"
HTTP_OK_BUT = "http 200 with an error "
"""The result of an attempt whose 200 response reports an error, before its status."""
_BYTES_PER_TOKEN = 4
"""A rough estimate, used to reserve a prompt's tokens before they are counted."""
_MAX_PLANS = 64
"""A replay may ask for many recorded outputs."""


class EndpointClient:
    """A model at an OpenAI-compatible endpoint."""

    def __init__(
        self,
        base_url: str | None,
        api_key: str,
        model: str,
        *,
        timeout_s: float = 60.0,
        max_attempts: int | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        trust_env: bool = True,
        profile: str | ProfileSettings | None = None,
        limit: "RateLimit | None" = None,
        http_client: "httpx2.AsyncClient | httpx.AsyncClient | None" = None,
    ) -> None:
        """`base_url` None is the SDK's own default; `timeout_s` is the deadline over all attempts. With
        `max_attempts` None an endpoint that replies is asked until then, and one that does not three times.

        `trust_env` takes proxies and certificates from the environment. `http_client` replaces the transport and
        brings its own: unit tests pass one that they can intercept. A client may be used from several event loops;
        `aclose` closes the connections of the loop that calls it. `profile` names or changes the row of the table
        that the address and the model have. `limit` is kept before each request; None sets none.

        Raises EndpointError for an address, key or proxy that cannot be used.
        """
        check_endpoint(base_url, api_key)
        address = resolve(base_url, api_key)
        self.profile = profile_of(address.base_url, model, profile)
        """The capabilities of the endpoint and the model."""
        if self.profile.api is not Api.CHAT:
            address = resolve_for(self.profile.api, base_url, api_key, model)
        self.limit = limit
        """The rate limits; None if there are none."""
        address = _with_headers(address, self.profile)
        self._transport: Transport = (
            AiohttpTransport(address, max_body_bytes=max_body_bytes, trust_env=trust_env)
            if http_client is None
            else HttpxTransport(http_client, address, max_body_bytes=max_body_bytes)
        )
        self._endpoint = without_secrets(address.base_url)
        secrets = (api_key, address.password, *self.profile.headers.values())
        self._secrets = [secret for secret in secrets if secret not in ("", NO_KEY)]
        self._model = model
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts
        self._plans: dict[tuple[Parameters, OutputSchema], RequestPlan] = {}
        self._too_large = f"the response is larger than {max_body_bytes} bytes"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def plan(self, parameters: Parameters, output: OutputSchema) -> RequestPlan:
        """The request for a prompt with these parameters, without its messages; it is worked out once."""
        if (plan := self._plans.get((parameters, output))) is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = plan_request(self._endpoint, self._model, self.profile, parameters, output)
            self._plans[parameters, output] = plan
        return plan

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """The completion of a prompt; every failure of the call becomes an outcome in it."""
        if prompt.within_s is not None and prompt.within_s < self._timeout_s:
            hurried = copy(self)
            hurried._timeout_s = prompt.within_s  # noqa: SLF001  a copy of this client, with the same connections
            return await hurried.complete(prompt, output)
        plan = self.plan(prompt.parameters, output)
        messages = plan.messages(prompt)
        body = plan.body(messages)
        tokens = len(body) // _BYTES_PER_TOKEN + plan.answer_tokens
        call = _Call(body, plan.kept, tokens, clock.monotonic_s() + self._timeout_s, [])
        try:
            completion = await self._complete(call)
        except Exception as error:  # noqa: BLE001  whatever breaks, the tick ends in a record
            completion = self._failed(Outcome.ERROR, self._short(in_short(error)), call)
        return completion.model_copy(update={"messages": messages, "asked": plan.blob})

    async def _complete(self, call: "_Call") -> Completion:
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._reply(call)
        except TimeoutError:
            return self._failed(Outcome.TIMEOUT, _NO_ANSWER, call)
        if isinstance(reply, NoReply):
            match reply.result:
                case "timeout":
                    return self._failed(Outcome.TIMEOUT, _NO_ANSWER, call)
                case "limited":
                    return self._failed(Outcome.LIMITED, reply.why, call)
            return self._failed(Outcome.UNREACHABLE, f"connection: {self._short(reply.why)}", call)
        if not reply.is_success:
            return self._refused(reply, call)
        if reply.body is None:
            return self._failed(Outcome.UNREADABLE, self._too_large, call)
        return read_completion(reply.body, call.request, tuple(call.attempts))

    async def _reply(self, call: "_Call") -> Reply | NoReply:
        """The last attempt's reply."""
        reply = await self._attempt(call)
        if self._max_attempts != 1 and is_transient(reply):
            again = partial(self._attempt, call)
            return await retry(reply, again, max_attempts=self._max_attempts, remaining_s=call.left_s)
        return reply

    async def _attempt(self, call: "_Call") -> Reply | NoReply:
        if self.limit is None:
            return await self._post(call)
        reservation = await self.limit.reserve(call.tokens, call.left_s)
        if isinstance(reservation, str):
            return NoReply("limited", reservation)
        await asyncio.sleep(reservation.wait_s)
        reply = await self._post(call)
        used = _used_tokens(reply) if isinstance(reply, Reply) else None
        if used is not None:
            self.limit.settle(reservation, used)
        return reply

    async def _post(self, call: "_Call") -> Reply | NoReply:
        began_s = clock.monotonic_s()
        result, request_id = "cancelled at the deadline", None
        try:
            reply = await self._transport.post(call.body)
            if isinstance(reply, NoReply):
                result = reply.result
            else:
                result = "ok" if reply.is_success else f"http {reply.status}"
                if reply.is_success and (error := error_in_success(reply.body)) is not None:
                    result = f"{HTTP_OK_BUT}{error.status}"
                    reply = reply._replace(status=error.status)
                request_id = next((reply.headers[name] for name in REQUEST_IDS if name in reply.headers), None)
                request_id = None if request_id is None else cut(request_id, MAX_NAME_CHARS)
            return reply
        finally:
            call.attempts.append(Attempt(result, round(clock.elapsed_ms(began_s)), request_id))

    def _refused(self, reply: Reply, call: "_Call") -> Completion:
        """The outcome of a call that ended with an error."""
        error = read_error(reply.body)
        if error is not None and (error.is_filter or error.is_answer) and reply.body is not None:
            return read_completion(reply.body, call.request, tuple(call.attempts))
        outcome = Outcome.UNREACHABLE if is_transient(reply) else Outcome.REJECTED
        detail = f"http {reply.status}: {self._short(str(error) if error else self._said(reply))}"
        if error is not None and (found := advice(reply.status, error)) is not None:
            detail = f"{detail}; {found.text}"
        return self._failed(outcome, detail, call, reply.body)

    def _said(self, reply: Reply) -> str:
        """The message of an error response. Its charset is ignored, because Python has codecs that are not charsets."""
        said = self._too_large if reply.body is None else reply.body.decode("utf-8", "replace")
        if reply.status // 100 == 3 and "location" in reply.headers:  # noqa: PLR2004
            target = without_secrets(reply.headers["location"])
            return f"redirects are not followed; this one leads to {target} {said}"
        return said

    def _short(self, text: str) -> str:
        """A text for a record's detail: on one line, cut, and without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "(the API key)")
        text = " ".join(text.split())
        return cut(text, MAX_ERROR_CHARS)

    def _failed(self, outcome: Outcome, detail: str, call: "_Call", body: bytes | None = None) -> Completion:
        return Completion(
            outcome=outcome,
            detail=f"{detail} ({_times(len(call.attempts))} within {self._timeout_s:g} s)",
            request=call.request,
            attempts=tuple(call.attempts),
            body=body,
            request_id=call.attempts[-1].request_id if call.attempts else None,
        )


class _Call(NamedTuple):
    """One request and its attempts."""

    body: bytes
    """The bytes to post."""
    request: dict[str, Any]
    """The part that a record keeps."""
    tokens: int
    """The tokens that it may use."""
    ends_s: float
    """Its deadline, by the monotonic clock."""
    attempts: list[Attempt]
    """The attempts so far."""

    @property
    def left_s(self) -> float:
        """The seconds until the deadline."""
        return self.ends_s - clock.monotonic_s()


def _with_headers(address: Address, profile: Profile) -> Address:
    """The address with the headers of a profile, and the key in the header that it names."""
    headers = dict(address.headers)
    authorization = headers.get("authorization", "")
    if profile.key_header and authorization.startswith("Bearer "):
        del headers["authorization"]
        headers[profile.key_header] = authorization.removeprefix("Bearer ")
    return address._replace(headers=headers | profile.headers)


def _times(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def _used_tokens(reply: Reply) -> int | None:
    """The tokens of a reply as providers count them against their limits; None if they are unknown."""
    if not reply.is_success or reply.body is None:
        return 0
    usage = read_completion(reply.body, {}, ()).usage
    return None if usage is None else usage.prompt + usage.completion


class NoEndpoint:
    """Stands in if no endpoint is configured: every call is unreachable, so the guardrails alone decide."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002
        """A completion that says what to configure."""
        return Completion(
            outcome=Outcome.UNREACHABLE,
            detail="no LLM endpoint is configured; set LLMCTX_LLM__BASE_URL and LLMCTX_LLM__MODEL",
            request={"schema": output.name, "schema_sha256": output.sha256},
        )
