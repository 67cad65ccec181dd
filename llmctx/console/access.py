"""Who may use the console: its token, and the addresses under which it may be asked."""

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


class Bind(NamedTuple):
    """Where the console listens."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = 0
    """The port; 0 takes a free one."""
    write: bool = False
    """Whether requests may change anything; they need the token."""
    certificate: Path | None = None
    """The certificate chain for TLS, as PEM."""
    key: Path | None = None
    """Its private key, as PEM."""
    names: tuple[str, ...] = ()
    """Further host names under which it may be asked."""

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
    """What a request must be to come in."""

    origins: frozenset[str]
    """The origins of the console itself; Host and Origin must name one."""
    token_sha256: str | None
    """The SHA-256 of the token, in hex; None before a token was made."""
    reads_need_token: bool
    """Whether even reading needs the token, because others can reach the console."""
    writes: bool
    """Whether requests may change anything."""

    def accepts(self, token: str) -> bool:
        """Whether this is the token."""
        found = canonical.sha256(token.encode("utf-8", "replace"))
        return self.token_sha256 is not None and hmac.compare_digest(found, self.token_sha256)


def door_of(bind: Bind, port: int, state_dir: Path) -> Door:
    """The door of a console that listens on a port.

    Raises ConsoleError if it may not be opened: beyond this machine it needs TLS and a token, for writing a token.
    """
    token = read_token_hash(state_dir)
    if not bind.is_loopback and (bind.certificate is None or bind.key is None):
        raise ConsoleError(
            f"The console would listen on {bind.host}, where others can read along.",
            "Give --tls-cert and --tls-key, or listen on 127.0.0.1 and put a tunnel (ssh -L) in front.",
        )
    if token is None and (bind.write or not bind.is_loopback):
        why = "--write lets requests change something" if bind.is_loopback else f"others can reach {bind.host}"
        raise ConsoleError(f"The console needs a token, because {why}.", "Make one: `llmctx console token`.")
    hosts = {f"{name}:{port}" for name in (*_LOOPBACK_NAMES, *bind.names)} if bind.is_loopback else set()
    if not bind.is_loopback:
        literal = f"[{bind.host}]" if ":" in bind.host else bind.host
        hosts |= {f"{name}:{port}" for name in (literal, *bind.names)}
    default = {"http": 80, "https": 443}[bind.scheme]
    hosts |= {host.rpartition(":")[0] for host in hosts if port == default}
    return Door(frozenset(f"{bind.scheme}://{host}" for host in hosts), token, not bind.is_loopback, bind.write)


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
