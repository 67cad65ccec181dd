"""A LiteLLM proxy on loopback, before an OpenAI-compatible endpoint: a real process, from an environment of its own."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT, free_port

PROGRAM = ROOT / os.environ.get("LITELLM", "var/litellm/bin/litellm")
"""Its dependencies contradict those of llmctx, so `make model` installs it apart."""
MODEL = "trade"
"""The name under which the proxy offers the model."""
_START_S = 180


@contextmanager
def litellm_proxy(base_url: str, model: str, folder: Path) -> Iterator[str]:
    """Run a proxy before the model at this base URL; yield the proxy's own base URL."""
    assert PROGRAM.exists(), f"{PROGRAM} is missing: `make model` installs it"
    port, config, log = free_port(), folder / "litellm.json", folder / "litellm.log"
    served = {"model": f"openai/{model}", "api_base": base_url, "api_key": "none", "timeout": 600, "max_retries": 0}
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": MODEL, "litellm_params": served}],
                "litellm_settings": {"drop_params": True, "num_retries": 0},
                # On loopback, and for as long as a test runs.
                "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},
            }
        )
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [PROGRAM, "--config", config, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        ends = time.monotonic() + _START_S
        while not _lives(url):
            died_or_late = process.poll() is not None or time.monotonic() > ends
            assert not died_or_late, log.read_text()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lives(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/liveliness", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
