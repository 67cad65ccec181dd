"""The door to the Trade LLM: the openai SDK against any OpenAI-compatible endpoint.

Rules of order: one owner of retries (tenacity; the SDK's own are off, together they would multiply); one deadline
over all attempts, waits included; every attempt is kept; what cannot get better is not asked again.
"""

import asyncio
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_random_exponential,
)

from llmctx import clock
from llmctx.errors import EndpointError
from llmctx.llm.completion import Attempt, Completion, Outcome, OutputSchema, read_completion
from llmctx.llm.request import body_of, kept
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters

if TYPE_CHECKING:
    import httpx
    import httpx2

_BACKOFF = wait_random_exponential(multiplier=0.25, max=8)
_WORTH_ASKING_AGAIN = {408, 409, 429}
_DETAIL_CHARACTERS = 300
NO_KEY = "none"
"""What stands for a key where an endpoint needs none; the SDK insists on one."""


class EndpointClient:
    """A model at an OpenAI-compatible endpoint."""

    def __init__(
        self,
        base_url: str | None,
        api_key: str,
        model: str,
        *,
        timeout_s: float = 60.0,
        max_attempts: int = 3,
        http_client: "httpx2.AsyncClient | httpx.AsyncClient | None" = None,
    ) -> None:
        """`base_url` None is the SDK's own default; `timeout_s` is the deadline over all attempts.

        `http_client` replaces the SDK's transport: unit tests pass one that they can intercept.

        Raises EndpointError for an address or a key that cannot be used.
        """
        import httpx2  # noqa: PLC0415  half a second: only who asks a model pays it
        import openai  # noqa: PLC0415  the same

        check_endpoint(base_url, api_key)
        self._response = httpx2.Response
        self._openai = openai
        self._sdk = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            http_client=http_client,  # type: ignore[arg-type]  # httpx works too, and is what respx intercepts
        )
        self._model = model
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        """The completion of a prompt; every failure of the call is an outcome in it."""
        request = self._request(prompt.parameters, output)
        attempts: list[Attempt] = []
        body = body_of(self._model, prompt, output)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._attempt_until_done(body, attempts)
        except TimeoutError:
            return self._failed(Outcome.TIMEOUT, "no answer before the deadline", request, attempts)
        except self._openai.APIStatusError as error:
            outcome = Outcome.UNREACHABLE if self._is_transient(error) else Outcome.REJECTED
            said = error.response.text
            if self._sdk.api_key != NO_KEY:
                said = said.replace(self._sdk.api_key, "(the API key)")
            detail = f"http {error.status_code}: {_short(said)}"
            return self._failed(outcome, detail, request, attempts, error.response.content)
        except self._openai.APITimeoutError:
            return self._failed(Outcome.TIMEOUT, "no answer before the deadline", request, attempts)
        except self._openai.APIConnectionError as error:
            detail = f"connection: {_short(str(error.__cause__ or error))}"
            return self._failed(Outcome.UNREACHABLE, detail, request, attempts)
        return read_completion(answer, request, tuple(attempts))

    async def _attempt_until_done(self, body: dict[str, Any], attempts: list[Attempt]) -> bytes:
        retrying = AsyncRetrying(
            stop=stop_any(stop_after_attempt(self._max_attempts), stop_before_delay(self._timeout_s)),
            wait=_wait,
            retry=retry_if_exception(self._is_transient),
            reraise=True,
        )
        answer: bytes = await retrying(self._attempt, body, attempts)
        return answer

    async def _attempt(self, body: dict[str, Any], attempts: list[Attempt]) -> bytes:
        began_s = clock.monotonic_s()
        result, request_id = "cancelled at the deadline", None
        try:
            # The SDK's own way to a raw response (its body is evidence). chat.completions.create would walk through
            # messages and schema and build models of an answer that is read here anyway, for twice the CPU.
            response = await self._sdk.post(
                "/chat/completions",
                body=body,
                cast_to=self._response,
                options={"timeout": self._timeout_s},
            )
        except self._openai.APIStatusError as error:
            result, request_id = f"http {error.status_code}", error.request_id
            raise
        except self._openai.APITimeoutError:
            result = "timeout"
            raise
        except self._openai.APIConnectionError:
            result = "connection"
            raise
        else:
            result, request_id = "ok", response.headers.get("x-request-id")
            return response.content
        finally:
            attempts.append(Attempt(result, round(clock.elapsed_ms(began_s)), request_id))

    def _is_transient(self, error: BaseException) -> bool:
        if isinstance(error, self._openai.APIStatusError):
            if error.code == "insufficient_quota":
                return False
            return error.status_code in _WORTH_ASKING_AGAIN or error.status_code >= 500  # noqa: PLR2004
        return isinstance(error, self._openai.APIConnectionError)

    def _request(self, parameters: Parameters, output: OutputSchema) -> dict[str, Any]:
        return kept(without_secrets(str(self._sdk.base_url)), self._model, parameters, output)

    def _failed(
        self,
        outcome: Outcome,
        detail: str,
        request: dict[str, Any],
        attempts: list[Attempt],
        body: bytes | None = None,
    ) -> Completion:
        return Completion(
            outcome=outcome,
            detail=f"{detail} ({_times(len(attempts))} within {self._timeout_s:g} s)",
            request=request,
            attempts=tuple(attempts),
            body=body,
            request_id=attempts[-1].request_id if attempts else None,
        )


def _wait(state: RetryCallState) -> float:
    """Seconds to the next attempt: what the endpoint asks for, otherwise exponential with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = _retry_after_s(getattr(getattr(error, "response", None), "headers", {}))
    return _BACKOFF(state) if asked_s is None else asked_s


def _retry_after_s(headers: Any) -> float | None:
    """What retry-after-ms or retry-after (seconds or an HTTP date) asks for, in seconds."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        if "retry-after" in headers:
            text = headers["retry-after"]
            if text[:1].isdigit():
                return float(text)
            return max(0.0, (clock.to_ms(parsedate_to_datetime(text)) - clock.now_ms()) / 1000)
    except (ValueError, TypeError):
        return None
    return None


def check_endpoint(base_url: str | None, api_key: str) -> None:
    """Find now what the transport would only find at the first call.

    Raises EndpointError for an address or a key that cannot be used.
    """
    try:
        parts = urlsplit(base_url or "https://default")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise EndpointError(
            f"{base_url!r} is no endpoint.", "Write it as http://HOST:PORT/v1 or https://HOST/v1.", exit_code=2
        )
    if not (api_key.isascii() and api_key.isprintable()):
        raise EndpointError("The API key has characters that no HTTP header can carry.", "Copy the key again.")


def without_secrets(url: str) -> str:
    """An address without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _times(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _DETAIL_CHARACTERS else text[:_DETAIL_CHARACTERS] + "..."


class NoEndpoint:
    """Stands where no endpoint is configured: every call is unreachable, so the guardrails alone decide."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002
        """A completion that says what to configure."""
        return Completion(
            outcome=Outcome.UNREACHABLE,
            detail="no LLM endpoint is configured; set LLMCTX_LLM__BASE_URL and LLMCTX_LLM__MODEL",
            request={"schema": output.name, "schema_sha256": output.sha256},
        )
