"""The outbox: alerts wait here for their receiver, so logging one never blocks."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from llmctx import clock
from llmctx.errors import AlertError
from llmctx.ops.alerts.alert import Alert, alert_of
from llmctx.ops.alerts.receiver import Receiver, Retry, deliver
from llmctx.tasks import end

_log = logging.getLogger(__name__)

REPEAT_S = 3600
"""After this time the same alert is sent again, if it still occurs."""
MAX_WAITING = 200
"""How many alerts wait at most; others are only in the log."""
_MAX_KNOWN = 1000
_LAST_S = 5.0


class Outbox(logging.Handler):
    """Takes the log records that are alerts, and hands each to the receiver once within a time."""

    def __init__(
        self, receiver: Receiver, instance: str, *, secrets: Sequence[str] = (), repeat_s: float = REPEAT_S
    ) -> None:
        """Must be made in the service's event loop. `instance` is the trail's id."""
        super().__init__()
        self._receiver = receiver
        self._instance = instance
        self._secrets = secrets
        self._repeat_s = repeat_s
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue()
        self._sent: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record if it is an alert; from any thread, and without an error whatever happens."""
        alert = alert_of(record, self._secrets)
        if alert is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._put, alert)

    def _put(self, alert: Alert) -> None:
        key, now_s = (alert.name, alert.subject), clock.monotonic_s()
        sent_s, repeats = self._sent.get(key, (None, 0))
        if sent_s is not None and now_s - sent_s < self._repeat_s:
            self._sent[key] = (sent_s, repeats + 1)
            return
        if self._waiting.qsize() >= MAX_WAITING:
            return
        self._sent[key] = (now_s, 0)
        self._sent.move_to_end(key)
        if len(self._sent) > _MAX_KNOWN:
            self._sent.popitem(last=False)
        self._waiting.put_nowait(alert._replace(repeats=repeats))

    async def run(self, retry: Retry = Retry()) -> None:  # noqa: B008  frozen
        """Deliver waiting alerts, one after another, until cancelled; failures are logged."""
        while True:
            alert = await self._waiting.get()
            try:
                await deliver(self._receiver, alert.document(self._instance), retry)
            except AlertError as error:
                self._give_up(alert, error.what)
            except Exception as error:  # noqa: BLE001  the next alert must go out all the same
                self._give_up(alert, f"An alert could not be delivered: {type(error).__name__}.")
            finally:
                self._waiting.task_done()

    def _give_up(self, alert: Alert, why: str) -> None:
        self._sent.pop((alert.name, alert.subject), None)  # if it occurs again, it is sent again
        _log.warning(f"{why} It was {alert.name}{f' of {alert.subject}' if alert.subject else ''}")

    async def empty(self) -> None:
        """Wait until everything is delivered or given up."""
        await asyncio.sleep(0)  # what was logged just now is in the queue then
        await self._waiting.join()


@asynccontextmanager
async def sending_alerts(outbox: Outbox, receiver: Receiver, retry: Retry = Retry()) -> AsyncIterator[None]:  # noqa: B008  frozen
    """Send log records meanwhile as alerts; at the end, waiting ones have five more seconds."""
    logger = logging.getLogger("llmctx")
    task = asyncio.create_task(outbox.run(retry))
    logger.addHandler(outbox)
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await outbox.empty()
        logger.removeHandler(outbox)
        await end(task)
        await receiver.aclose()
