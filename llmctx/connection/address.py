"""Addresses of Redis servers: checked before use, and shown without what may be secret.

A password can stand anywhere in a malformed address, so nothing of one is ever shown, nor the parser's message about
it, which may quote it. Of a well-formed address only scheme, host, port, database or socket path are shown.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

from llmctx.connection.sentinel import Place
from llmctx.errors import ServerError

_ADDRESS = re.compile(
    r"""(?P<scheme>rediss?)://
        (?:(?P<user>[^/?\#@\[\]\s]*)@)?
        (?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)
        (?::(?P<port>[0-9]{1,5}))?
        (?P<place>(?:/[0-9]{0,5})?/?)
        (?:\?(?P<options>[^\#@]*))?""",
    re.VERBOSE,
)
_SOCKET = re.compile(r"(?P<scheme>unix)://(?:(?P<user>[^/?#@\[\]\s]*)@)?(?P<place>/[^?#@]+)(?:\?(?P<options>[^#@]*))?")
_SENTINEL = re.compile(
    r"""(?P<scheme>rediss?\+sentinel)://
        (?:(?P<user>[^/?\#@\[\]\s]*)@)?
        (?P<host>(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]{1,5})?(?:,(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]{1,5})?)*)
        (?P<place>/(?P<service>[\w.-]+)(?P<database>(?:/[0-9]{0,5})?/?))
        (?:\?(?P<options>[^\#@]*))?""",
    re.VERBOSE,
)
_SENTINEL_PORT = 26379
_OPTIONS = ("db", "username", "password", "client_name", "health_check_interval", "socket_keepalive")
_TLS = ("cert_reqs", "ca_certs", "ca_path", "certfile", "keyfile", "password", "check_hostname", "min_version")
_ALLOWED = frozenset(_OPTIONS) | {f"ssl_{name}" for name in _TLS}
_OF_SENTINELS = {"sentinel_username": "username", "sentinel_password": "password"}
"""Options of an address with sentinels, and what they are called when a sentinel is connected to."""
_REFUSED = frozenset(
    [
        "decode_responses",
        "encoding",
        "encoding_errors",
        "protocol",
        "legacy_responses",
        "parser_class",
        "max_connections",
        "timeout",
        "retry_on_timeout",
        "socket_timeout",
        "socket_connect_timeout",
        "socket_read_size",
        "single_connection_client",
    ]
)
"""Options of the client that change its replies or how it waits; their names may be shown."""


def check_address(url: str) -> None:
    """Check that an address names a server, and sets no option that llmctx sets itself.

    Raises ServerError, which quotes nothing of the address but a well-known option's name.
    """
    found = _parse(url)
    if found is None:
        raise malformed_address(_what_is_wrong(url))
    names = [option.partition("=")[0] for option in (found["options"] or "").split("&") if option]
    allowed = _ALLOWED | _OF_SENTINELS.keys() if "service" in found.groupdict() else _ALLOWED
    for name in names:
        if name not in allowed:
            shown = f"the option {name}" if name in _REFUSED else "an unknown option"
            raise ServerError(
                f"The Redis address sets {shown}, which llmctx does not allow.",
                f"Remove it from the address. Allowed are {', '.join(_OPTIONS)} and ssl_ options: others may change "
                "what the server's replies look like.",
                exit_code=2,
            )


def without_password(url: str) -> str:
    """The address without user, password and options, fit to be shown and stored; `***` stands for what is hidden."""
    found = _parse(url)
    if found is None:
        return "***"
    shown = found.groupdict()
    user = "" if shown["user"] is None else "***@"
    host = shown.get("host", "") if shown.get("port") is None else f"{shown['host']}:{shown['port']}"
    database = re.search(r"(?:^|&)(db=[0-9]{1,5})(?:&|$)", shown["options"] or "")
    return f"{shown['scheme']}://{user}{host}{shown['place']}" + (f"?{database[1]}" if database else "")


def secrets_in(url: str) -> list[str]:
    """The passwords in an address of any kind, as written."""
    user = re.search("://[^/?#@:]*:([^/?#@]+)@", url)
    options = re.findall("(?<=password=)[^&#]+", url)
    return [*options, *([] if user is None else [user[1]])]


class Watched(NamedTuple):
    """An address with sentinels, in its parts."""

    sentinels: tuple[Place, ...]
    """The addresses of the sentinels."""
    service: str
    """The name of the primary and its replicas."""
    options: dict[str, str]
    """User and password for the sentinels, by the client's names."""
    scheme: str
    """redis or rediss."""
    user: str
    """User and password for the servers, as written before the host."""
    rest: str
    """Database and options, as written after the port."""

    def server_url(self, place: Place) -> str:
        """The address of the server at a host and port."""
        host = f"[{place.host}]" if ":" in place.host else place.host
        return f"{self.scheme}://{self.user}{host}:{place.port}{self.rest}"


def read_watched(url: str) -> Watched | None:
    """The parts of an address with sentinels; None for any other address."""
    found = _SENTINEL.fullmatch(url)
    if found is None:
        return None
    pairs = [option.partition("=")[::2] for option in (found["options"] or "").split("&") if option]
    rest = "&".join(f"{name}={value}" for name, value in pairs if name not in _OF_SENTINELS)
    return Watched(
        sentinels=tuple(_place(text) for text in found["host"].split(",")),
        service=found["service"],
        options={_OF_SENTINELS[name]: unquote(value) for name, value in pairs if name in _OF_SENTINELS},
        scheme=found["scheme"].removesuffix("+sentinel"),
        user="" if found["user"] is None else f"{found['user']}@",
        rest=found["database"] + (f"?{rest}" if rest else ""),
    )


def _place(text: str) -> Place:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return Place(text.strip("[]"), _SENTINEL_PORT)
    return Place(host.strip("[]"), int(port))


def malformed_address(why: str) -> ServerError:
    """The error for a text that is not an address; `why` must quote nothing of it."""
    return ServerError(
        f"The text given is not a Redis address: {why}.",
        "Write it as redis://HOST:PORT/DB or redis://USER:PASSWORD@HOST:PORT/DB, for example "
        "redis://127.0.0.1:6379/0; with Sentinels redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB. If the password "
        "contains / @ : ? # % or a space, percent-encode it: %2F is /, %40 is @.",
        exit_code=2,
    )


def _parse(url: str) -> "re.Match[str] | None":
    return _ADDRESS.fullmatch(url) or _SOCKET.fullmatch(url) or _SENTINEL.fullmatch(url)


def _what_is_wrong(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"):
        return "it does not begin with redis://, rediss://, unix:// or redis+sentinel://"
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if rest.count("@") > authority.count("@"):
        return "an @ follows a / ? or #. If they belong to the password, percent-encode it"
    user, _, host = authority.rpartition("@")
    if re.search(r"[@\[\]\s]", user):
        return "user or password contain a character that cannot stand there; percent-encode it"
    if scheme not in ("redis", "rediss"):
        expected = "path of a socket" if scheme == "unix" else "HOST:PORT,HOST:PORT/SERVICE/DB"
        return f"no {expected} follows {scheme}://. A password stands before an @"
    if not host or host.startswith(":"):
        return f"no host follows {scheme}://"
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?", host):
        return f"no host and numeric port follow {scheme}://. A password stands before an @"
    if "#" in rest:
        return "it contains a #; percent-encode it"
    return "the database is not a number"
