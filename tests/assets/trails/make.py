"""Write the small trail of a release: every kind of record, two prompt versions, by the release's own command line.

    python tests/assets/trails/make.py path/to/llmctx tests/assets/trails/0.1.0

Needs `redis-server` on the PATH: what Redis 7.0 writes, every later server reads. The folder then holds

    key.txt        the public key
    receipt.json   one record's receipt
    trail.tar.xz   export/       what `llmctx export` writes
                   state/        the instance file, the anchor and the public key; never the private one
                   redis.aof     the trail's keys as commands, to be sent to any server
                   corpus.jsonl  every record that has evidence, as a corpus

A trail that is checked in is never written again: it is what that release wrote.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from redis import Redis, RedisError

SEED, MINUTES = "11", "60"
FIRST, SECOND = 8 * 28, 8 * 2
"""Bars fed before and after the last record is lost; eight symbols a minute."""
PATIENCE_S = 30.0


class FalsePrice(BaseHTTPRequestHandler):
    """Passes a request on to the stand-in; where `lying` is set, a first answer states a price that nothing shows."""

    standin = ""
    lying = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = urllib.request.Request(self.standin + self.path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            answer = json.loads(response.read())
        first = all(message["role"] != "assistant" for message in json.loads(body)["messages"])
        if FalsePrice.lying and first:
            price = re.search(rb"price\.price\.last: ([0-9.]+)", body)
            assert price is not None
            message = answer["choices"][0]["message"]
            decision = json.loads(message["content"])
            decision["reasoning"] = f"The stop_loss is {float(price[1]) * 0.9:.2f}, so nothing is changed."
            message["content"] = json.dumps(decision)
        sent = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*command: object, **settings: str) -> Iterator[None]:
    """A program from beginning to end; SIGTERM ends it."""
    process = subprocess.Popen([*map(str, command)], env=os.environ | settings, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def wait_until(true: Any, what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(0.05)


class Maker:
    """Writes one trail."""

    def __init__(self, program: Path, work: Path) -> None:
        self.program, self.work = program, work
        self.port, self.standin = free_port(), free_port()
        self.redis: Any = Redis(port=self.port)
        self.settings = {
            "LLMCTX_REDIS_URL": f"redis://127.0.0.1:{self.port}/0",
            "LLMCTX_STATE_DIR": str(work / "state"),
            "LLMCTX_LLM__MODEL": "llmctx-standin",
            "LLMCTX_GROUNDING": "reask",
        }

    def call(self, *words: object) -> str:
        command = [str(self.program), *map(str, words)]
        return str(subprocess.check_output(command, env=os.environ | self.settings, text=True))

    @contextmanager
    def service(self, prompt: str, endpoint: int) -> Iterator[None]:
        with running(
            self.program, "run", "--prompt", prompt, "--endpoint", f"http://127.0.0.1:{endpoint}/v1", **self.settings
        ):
            wait_until(lambda: self.redis.exists("audit:{0}:lease"), "a worker's lease")
            yield
            wait_until(lambda: not self.redis.xlen("ticks:{0}"), "every tick settled")

    def tick(self, number: int, **fields: str) -> bytes:
        """Raise a tick by hand."""
        return bytes(self.redis.xadd("ticks:{0}", {"id": f"by-hand:{number}", **fields}))

    def make(self) -> None:
        """Have every kind of record written."""
        bars = self.work / "bars.csv"
        sectors = self.work / "sectors.json"
        self.call("simulate", bars, "--seed", SEED, "--days", 1, "--minutes", MINUTES, "--sectors", sectors)
        lines = bars.read_text(encoding="utf-8").splitlines(keepends=True)
        feeds = [self.work / "first.csv", self.work / "second.csv"]
        feeds[0].write_text("".join(lines[: FIRST + 1]), encoding="utf-8")
        feeds[1].write_text("".join([lines[0], *lines[FIRST + 1 : FIRST + SECOND + 1]]), encoding="utf-8")
        with running(self.program, "standin", "--port", self.standin):
            wait_until(self._standin_answers, "the stand-in")
            with self.service("position/v1", self.standin):
                self.call("feed", feeds[0], "--lockstep", "--sectors", sectors)
            self._leave_a_poisonous_tick()
            self._lose_the_last_record()
            with self._liar() as liar, self.service("position/v2", liar):
                self.call("feed", feeds[1], "--lockstep", "--sectors", sectors)
                self.tick(2, symbol="NOBODY", cause="position_changed")
                self.tick(3, cause="position_changed")  # names no symbol
                self.redis.xadd("ticks:{0}", {"nothing": "that is a tick"})
                FalsePrice.lying = True
                self.tick(4, symbol=self._held(), cause="position_changed")
        for number, fault in enumerate(("refusal", "misfit", "http_500"), start=5):
            port = free_port()
            with (
                running(self.program, "standin", "--port", port, "--fault", fault),
                self.service("position/v2", port),
            ):
                self.tick(number, symbol=self._held(), cause="position_changed")

    def _standin_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.standin)) == 0

    def _held(self) -> str:
        return str(min(self.redis.scan_iter("positions:active:*")).decode().rpartition(":")[2])

    @contextmanager
    def _liar(self) -> Iterator[int]:
        FalsePrice.standin = f"http://127.0.0.1:{self.standin}"
        server = ThreadingHTTPServer(("127.0.0.1", 0), FalsePrice)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()

    def _leave_a_poisonous_tick(self) -> None:
        """A tick on which as many decisions were started as may be, and none was recorded: a dead letter."""
        entry = self.tick(1, symbol=self._held(), cause="position_changed")
        read = self.redis.xreadgroup("deciders", "owner", {"ticks:{0}": ">"})
        assert entry.decode() in str(read), "another worker took the tick"
        self.redis.hset("ticks:{0}:attempts", "by-hand:1", "100")

    def _lose_the_last_record(self) -> None:
        """As a server does that lost the end of its append-only file, on a machine that lost its disk as well."""
        ((entry_id, _),) = self.redis.xrevrange("audit:{0}:log", count=1)
        index = int(entry_id.decode().partition("-")[0])
        self.redis.xdel("audit:{0}:log", entry_id)
        for key in self.redis.scan_iter("audit:*"):
            kind = self.redis.type(key)
            if kind == b"hash" and b"lease" not in key and b"instance" not in key:
                gone = [name for name, at in self.redis.hgetall(key).items() if at == b"%d" % index]
                if gone:
                    self.redis.hdel(key, *gone)
            elif kind == b"list" and self.redis.lindex(key, -1) == b"%d" % index:
                self.redis.rpop(key)
        shutil.rmtree(self.work / "state" / "spool")

    def keep(self, folder: Path) -> None:
        """Write what the release's folder holds."""
        folder.mkdir(parents=True)
        (folder / "key.txt").write_text(self.call("key"), encoding="utf-8")
        (folder / "receipt.json").write_text(self.call("receipt", "12"), encoding="utf-8")
        self.call("corpus", "add", "all", self.work / "corpus.jsonl")
        self.call("export", self.work / "export")
        self._keep_redis(self.work / "redis.aof")
        with tarfile.open(folder / "trail.tar.xz", "w:xz") as archive:
            public = next((self.work / "state/keys").glob("*.pub")).relative_to(self.work)
            for part in ("export", "state/instance.json", "state/anchor", public, "redis.aof", "corpus.jsonl"):
                archive.add(self.work / part, part, filter=_anonymous)

    def _keep_redis(self, file: Path) -> None:
        trail = ("audit:", "decisions:", "ticks:")
        others = [key for key in self.redis.scan_iter() if not key.decode().startswith(trail)]
        self.redis.delete(*others)
        self.redis.function_flush("SYNC")
        self.redis.config_set("aof-use-rdb-preamble", "no")
        self.redis.bgrewriteaof()
        wait_until(lambda: not self.redis.info("persistence")["aof_rewrite_in_progress"], "the append-only file")
        (base,) = (self.work / "redis" / "appendonlydir").glob("*.base.aof")
        shutil.copy(base, file)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def main() -> None:
    """Make the trail of the program named first in the folder named second."""
    program, folder = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as work:
        maker = Maker(program, Path(work))
        (maker.work / "redis").mkdir()
        with running(
            "redis-server", "--port", maker.port, "--dir", maker.work / "redis", "--appendonly", "yes",
            "--bind", "127.0.0.1",
        ):  # fmt: skip
            wait_until(lambda: _answers(maker.redis), "the server")
            maker.make()
            maker.keep(folder)


def _answers(redis: Any) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


if __name__ == "__main__":
    main()
