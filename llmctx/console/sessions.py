"""Sessions of people who gave the token, the key that a form must carry, and rate limits."""

import hmac
import secrets
from collections import OrderedDict
from urllib.parse import parse_qs

from llmctx import canonical, clock

_SESSION_S = 12 * 3600.0
_MAX_SESSIONS = 100
_MAX_CLIENTS = 1000
_MAX_FIELDS = 20


class Sessions:
    """The sessions of people who gave the token, in memory; they end with the console or after twelve hours."""

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


class FormKeys:
    """The key that a form must carry, so that no other site can send it: derived from a secret of this process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, who: str) -> str:
        """The key of the forms of a session or a person."""
        return hmac.digest(self._secret, who.encode("utf-8", "replace"), "sha256").hex()

    def fits(self, who: str, body: bytes) -> bool:
        """Whether a form carries it."""
        given = form_in(body).get("form_key", "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.of(who).encode())


def form_in(body: bytes) -> dict[str, str]:
    """The fields of a form; the first of each name."""
    try:
        found = parse_qs(body.decode(), max_num_fields=_MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


class Bucket:
    """A rate limit: a full bucket at first, and a little more each second."""

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


class Rate:
    """A bucket for each client; of many clients the newest are remembered."""

    def __init__(self, size: float, per_s: float) -> None:
        self._size, self._per_s = size, per_s
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, client: str) -> bool:
        """Take one for a client; False if its bucket is empty."""
        bucket = self._buckets.pop(client, None) or Bucket(self._size, self._per_s)
        self._buckets[client] = bucket
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return bucket.take()
