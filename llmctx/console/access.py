"""Who may use the console: its token, the proxy that names people, and the addresses that it answers to."""

import hmac
import ipaddress
import secrets
from pathlib import Path
from typing import NamedTuple

from llmctx import canonical
from llmctx.errors import ConsoleError
from llmctx.private_files import make_private_directory, write_private

_TOKEN_BYTES = 32
_PREFIX = "llmctx-"
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Proxy(NamedTuple):
    """A proxy that signs people in, and names the person in a header."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    """The addresses from which it connects; the header of anybody else is ignored."""
    header: str
    """The header with the name."""
    origin: str
    """The origin under which browsers reach the proxy, such as https://desk.example."""

    def sends(self, client: str, host: str) -> bool:
        """Whether a request from a client's address, for a host, comes through it."""
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        return host == self.origin.partition("://")[2] and any(address in network for network in self.networks)


class Bind(NamedTuple):
    """Where the console listens."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = 0
    """The port; 0 takes a free one."""
    write: bool = False
    """Whether requests may change anything; they then need the token."""
    certificate: Path | None = None
    """The certificate chain for TLS, as PEM."""
    key: Path | None = None
    """Its private key, as PEM."""
    names: tuple[str, ...] = ()
    """Other host names that it answers to."""
    proxy: Proxy | None = None
    """The proxy in front of it; None without one."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        """Http or https."""
        return "http" if self.certificate is None else "https"


class Door(NamedTuple):
    """What a request must satisfy."""

    origins: frozenset[str]
    """The origins of the console itself; Host and Origin must name one. Empty if only the proxy may ask."""
    token_sha256: str | None
    """The SHA-256 of the token, in hex; None before a token was made."""
    reads_need_token: bool
    """Whether even reading needs the token, because others can reach the console."""
    writes: bool
    """Whether requests may change anything."""
    proxy: Proxy | None = None
    """The proxy that names people; None without one."""

    def accepts(self, token: str) -> bool:
        """Whether this is the token."""
        found = canonical.sha256(token.encode("utf-8", "replace"))
        return self.token_sha256 is not None and hmac.compare_digest(found, self.token_sha256)


def door_of(bind: Bind, port: int, state_dir: Path) -> Door:
    """The access rules of a console that listens on a port.

    Raises ConsoleError if it may not be opened: beyond this machine, and for writing, it needs a token or a proxy, and
    beyond this machine TLS as well unless only the proxy may connect.
    """
    token = read_token_hash(state_dir)
    has_tls = bind.certificate is not None and bind.key is not None
    if not bind.is_loopback and not has_tls and bind.proxy is None:
        raise ConsoleError(
            f"The console would listen on {bind.host}, where others can read along.",
            "Give --tls-cert and --tls-key, or listen on 127.0.0.1 and put a tunnel (ssh -L) in front.",
        )
    if token is None and bind.proxy is None and (bind.write or not bind.is_loopback):
        why = "--write lets requests change something" if bind.is_loopback else f"others can reach {bind.host}"
        raise ConsoleError(f"The console needs a token, because {why}.", "Make one: `llmctx console token`.")
    own = _own_hosts(bind, port) if bind.is_loopback or has_tls else frozenset()
    origins = frozenset(f"{bind.scheme}://{host}" for host in own)
    return Door(origins, token, not bind.is_loopback, bind.write, bind.proxy)


def _own_hosts(bind: Bind, port: int) -> frozenset[str]:
    """The hosts, with their ports, that the console itself answers to."""
    literal = f"[{bind.host}]" if ":" in bind.host else bind.host
    names = (*(_LOOPBACK_NAMES if bind.is_loopback else (literal,)), *bind.names)
    default = {"http": 80, "https": 443}[bind.scheme]
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == default else frozenset())


def make_token(state_dir: Path) -> str:
    """Make a token, which replaces an older one, keep its hash in the state directory, and return it.

    Raises ConsoleError if the file cannot be written.
    """
    token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    file = _token_file(state_dir)
    try:
        make_private_directory(file.parent)
        write_private(file, canonical.sha256(token.encode()) + "\n")
    except OSError as error:
        raise ConsoleError(f"{file} cannot be written: {error}.", "Check the state directory.") from error
    return token


def read_token_hash(state_dir: Path) -> str | None:
    """The SHA-256 of the token, in hex; None if none was made.

    Raises ConsoleError if the file cannot be read.
    """
    file = _token_file(state_dir)
    try:
        return file.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConsoleError(f"{file} cannot be read: {error}.", "Make a new one: `llmctx console token`.") from error


def _token_file(state_dir: Path) -> Path:
    return state_dir / "console" / "token"
