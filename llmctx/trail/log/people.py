"""People: records name them by id, and a table beside the trail has their names.

An id is a digest of the name and a salt that stands in the table alone. So nobody can guess the name from an id, or
give an id another name; and once the row is erased, nothing leads back to the name. The table is a hash in Redis, which
all hosts share, and a copy in each state directory, from which a server that lost rows gets them back. Where a name was
erased a mark stays, so that no copy brings it back.
"""

import contextlib
import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError, WatchError

from llmctx import canonical
from llmctx.private_files import make_private_directory, write_private
from llmctx.trail.log.lease import redis_errors
from llmctx.visible import show_names

_log = logging.getLogger(__name__)

PEOPLE_KEY = "audit:people"
PERSON_ID = re.compile(rb"person-[0-9a-f]{32}")
EXPORTED = "people.jsonl"
"""The file of an export with the rows of the people named in its records."""
_COPY = "people.json"
_ERASED = ""
Rows = Mapping[str, str]
"""Row by id: JSON with name and salt; empty if the name was erased."""


class NameTable:
    """The people of a trail."""

    def __init__(self, redis: Redis, state_dir: Path) -> None:
        """`state_dir` has the copy."""
        self._redis = redis
        self._state_dir = state_dir

    async def rows(self) -> Rows:
        """The rows of server and copy; only those of the copy if the server does not return its own."""
        return _joined(await self.shared_rows(), copied_rows(self._state_dir))

    async def shared_rows(self) -> Rows:
        """The rows of the server; empty if it does not return them."""
        try:
            return await _rows_of(self._redis)
        except (RedisError, OSError):
            return {}

    async def ids_of(self, names: Iterable[str]) -> dict[str, str]:
        """The id of each name; a name without one gets one. An id stands for itself.

        Raises TrailError if the server does not answer.
        """
        wanted = tuple(names)
        found = _ids_in(await self.mend(), wanted)
        while len(found) < len(set(wanted)):
            await self._enrol([name for name in wanted if name not in found])
            found = _ids_in(await self.mend(), wanted)
        return found

    async def id_of(self, name: str) -> str:
        """The id of one person; raises as `ids_of` does."""
        return (await self.ids_of((name,)))[name]

    async def mend(self) -> Rows:
        """Copy missing rows in both directions: from the copy to the server, and from the server to the copy.

        Raises TrailError if the server does not answer.
        """
        with redis_errors("The table of people could not be read"):
            shared = await self._usable_rows()
        copied = copied_rows(self._state_dir)
        rows = _joined(shared, copied)
        await self._add({person: row for person, row in rows.items() if person not in shared})
        await self._mark([person for person, row in rows.items() if row == _ERASED and shared.get(person)])
        if rows != copied:
            self._copy(rows)
        return rows

    async def erase(self, person: str) -> None:
        """Erase a name on the server and in the copy. Other hosts' copies follow when they are next repaired.

        Raises TrailError if the server does not answer.
        """
        rows = await self.mend()
        await self._mark([person])
        self._copy({**rows, person: _ERASED})

    async def _enrol(self, names: Iterable[str]) -> None:
        """Give each name an id, unless somebody else writes rows meanwhile: a name must not get two ids."""
        with redis_errors("The table of people could not be written"), contextlib.suppress(WatchError):
            async with self._redis.pipeline(transaction=True) as both:
                await both.watch(PEOPLE_KEY)
                known = _ids_in(await _rows_of(both), names)
                both.multi()  # type: ignore[no-untyped-call]  # untyped in redis-py
                for person, row in (_new_row(name) for name in names if name not in known):
                    both.hset(PEOPLE_KEY, person, row)
                await both.execute()

    async def _usable_rows(self) -> Rows:
        """The rows on the server. Rows that are not ours are removed, or they would block the rows of the copy."""
        try:
            found = await _fields_of(self._redis)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            _log.warning(f"{PEOPLE_KEY} was not a hash and was removed; the copy in {self._state_dir} has its rows")
            await self._redis.delete(PEOPLE_KEY)
            return {}
        rows = _genuine(_decoded(found))
        foreign = [field for field in found if field.decode(errors="replace") not in rows]
        if foreign:
            _log.warning(
                f"{len(foreign)} fields of {PEOPLE_KEY} were foreign or altered and were removed; the copy "
                f"in {self._state_dir} has the rows that it knew. Somebody else writes to it: see who may "
                "(docs/threat-model.md)",
                extra={"alert": "foreign", "subject": PEOPLE_KEY},
            )
            await self._redis.hdel(PEOPLE_KEY, *cast("list[str]", foreign))
        return rows

    async def _add(self, rows: Rows) -> None:
        with redis_errors("The table of people could not be written"):
            for person, row in rows.items():  # never over a mark that another host has set meanwhile
                await self._redis.hsetnx(PEOPLE_KEY, person, row)

    async def _mark(self, people: Iterable[str]) -> None:
        with redis_errors("The table of people could not be written"):
            for person in people:
                await self._redis.hset(PEOPLE_KEY, person, _ERASED)

    def _copy(self, rows: Rows) -> None:
        new = self._state_dir / f"{_COPY}.new"
        try:
            make_private_directory(self._state_dir)
            write_private(new, canonical.dumps(dict(rows)).decode())
            new.replace(self._state_dir / _COPY)
        except OSError as error:  # a halt must not wait for a disk; the server has the row
            _log.warning(f"The copy of the table of people could not be written: {error}")


async def _rows_of(redis: Redis) -> Rows:
    return _genuine(_decoded(await _fields_of(redis)))


async def _fields_of(redis: Redis) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", await redis.hgetall(PEOPLE_KEY))


def _decoded(fields: Mapping[bytes, bytes]) -> Rows:
    return {person.decode(errors="replace"): row.decode(errors="replace") for person, row in fields.items()}


def _genuine(rows: Rows) -> Rows:
    """The rows whose name and salt yield their id, and the marks of erasure."""
    return {
        person: row
        for person, row in rows.items()
        if _id_of_row(row) == person or (row == _ERASED and PERSON_ID.fullmatch(person.encode()))
    }


def _ids_in(rows: Rows, names: Iterable[str]) -> dict[str, str]:
    """The id of each name that has one; an id is its own."""
    known = {name: person for person, name in sorted(names_in(rows).items(), reverse=True)}
    own = {name: name for name in names if PERSON_ID.fullmatch(name.encode())}
    return {name: known[name] for name in names if name in known} | own


def copied_rows(state_dir: Path) -> Rows:
    """The rows of the copy in a state directory; empty if there is no usable copy."""
    try:
        found = canonical.loads((state_dir / _COPY).read_bytes())
    except (OSError, ValueError):
        return {}
    return _genuine({str(person): str(row) for person, row in found.items()}) if isinstance(found, dict) else {}


def rows_beside(copy: str, state_dir: Path) -> Rows:
    """The rows of an export, if `copy` is one, and those of the copy in a state directory."""
    return _joined(copied_rows(state_dir), _exported_rows(Path(copy)))


def _exported_rows(folder: Path) -> Rows:
    """The rows in an export; empty if it has none. A malformed line is skipped."""
    try:
        lines = (folder / EXPORTED).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return {}
    return {person: line for line in lines if (person := _id_of_row(line)) is not None}


def show_people(rows: Rows) -> None:
    """From here on, show the names in these rows instead of the ids that records have."""
    show_names(names_in(rows))


def names_in(rows: Rows) -> dict[str, str]:
    """Name by id, for each row whose name and salt yield its id."""
    return {person: canonical.loads(row.encode())["name"] for person, row in rows.items() if _id_of_row(row) == person}


def _joined(rows: Rows, others: Rows) -> Rows:
    """The rows of both; a mark of erasure in either one wins."""
    erased = {person: _ERASED for each in (rows, others) for person, row in each.items() if row == _ERASED}
    return {**others, **rows, **erased}


def _new_row(name: str) -> tuple[str, str]:
    salt = secrets.token_hex(16)
    return _id(name, salt), canonical.dumps({"name": name, "salt": salt}).decode()


def _id_of_row(row: str) -> str | None:
    """The id that a row's name and salt yield; None if it is malformed or a mark."""
    try:
        found = canonical.loads(row.encode())
        name, salt = found["name"], found["salt"]
        return _id(name, salt) if type(name) is type(salt) is str else None
    except (ValueError, TypeError, KeyError):
        return None


def _id(name: str, salt: str) -> str:
    said = f"llmctx-person/1\n{salt}\n{name}\n"
    return f"person-{canonical.sha256(said.encode())[:32]}"
