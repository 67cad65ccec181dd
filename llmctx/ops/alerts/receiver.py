"""Receivers of alerts: a webhook or a command, tried until one attempt succeeds or all are used up."""

import asyncio
import shlex
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from llmctx.errors import AlertError
from llmctx.llm.address import Address
from llmctx.llm.transport import AiohttpTransport, NoReply

MAX_ATTEMPTS = 5
_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 30.0
_TIMEOUT_S = 10.0
_MAX_REPLY_BYTES = 64 * 1024
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class Receiver(Protocol):
    """A receiver of alerts."""

    async def tell(self, document: bytes) -> None:
        """Hand over one alert once; raises AlertError if that fails."""

    async def aclose(self) -> None:
        """Close open connections."""


class Webhook:
    """Posts each alert to an address; neither it nor a token is ever shown."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """`token` goes along as a bearer token.

        Raises EndpointError for a proxy in the environment that cannot be used.
        """
        headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        self._transport = AiohttpTransport(Address(url, url, headers, ""), max_body_bytes=_MAX_REPLY_BYTES)

    async def tell(self, document: bytes) -> None:
        """Post it once."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                reply = await self._transport.post(document)
        except TimeoutError:
            raise AlertError(f"the webhook did not answer within {_TIMEOUT_S:g} s", may_pass=True) from None
        if isinstance(reply, NoReply):
            raise AlertError(f"the webhook: {reply.why}", may_pass=True)
        if reply.status == _TOO_MANY_REQUESTS or reply.status >= _SERVER_ERROR:
            raise AlertError(f"the webhook answered {reply.status}", may_pass=True)
        if not reply.is_success:
            raise AlertError(f"the webhook answered {reply.status}")

    async def aclose(self) -> None:
        """Close the connection."""
        await self._transport.aclose()


class Command:
    """Starts a program for each alert, which reads the JSON object from its standard input."""

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        """`command` is split into words as a shell does, and run without one.

        Raises AlertError if it cannot be split.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise AlertError(f"the command cannot be split into words ({error})") from error
        self._environment = dict(environment)

    async def tell(self, document: bytes) -> None:
        """Run it once; it is killed if it takes longer than ten seconds."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except (OSError, ValueError) as error:
            raise AlertError(f"the command cannot be started ({type(error).__name__})") from error
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await process.communicate(document)
        except TimeoutError:
            raise AlertError(f"the command did not end within {_TIMEOUT_S:g} s", may_pass=True) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise AlertError(f"the command ended with {process.returncode}", may_pass=True)

    async def aclose(self) -> None:
        """Nothing stays open."""


class Retry(NamedTuple):
    """How often an alert is tried, and with which pauses."""

    attempts: int = MAX_ATTEMPTS
    """How often at most."""
    first_pause_s: float = _FIRST_PAUSE_S
    """The pause after the first attempt; each further one is twice as long, up to half a minute."""


async def deliver(receiver: Receiver, document: bytes, retry: Retry = Retry()) -> None:  # noqa: B008  frozen
    """Hand an alert over, trying again after failures that may pass.

    Raises AlertError if no attempt succeeded.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(retry.attempts),
        wait=wait_exponential(multiplier=retry.first_pause_s, max=_MAX_PAUSE_S),
        reraise=True,
    )
    await retrying(receiver.tell, document)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, AlertError) and error.may_pass
