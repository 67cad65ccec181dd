from pathlib import Path

import pytest

from llmctx import assets
from llmctx.assets import asset


def test_redis_conf_ships() -> None:
    assert "maxmemory-policy volatile-lru" in asset("redis.conf").read_text(encoding="utf-8")


def test_the_default_prompt_ships() -> None:
    assert (asset("prompts") / "position" / "v1.md.j2").is_file()


def test_the_queries_ship() -> None:
    assert (asset("audit/queries") / "views.sql").is_file()


@pytest.mark.parametrize("name", ["prompts", "redis.conf", "audit/queries"])
def test_a_shipped_path_does_not_hang_on_the_working_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert asset(name).is_absolute()
    assert asset(name).exists()


def test_the_installed_copy_comes_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "llmctx"
    (package / "_assets").mkdir(parents=True)
    (package / "_assets" / "redis.conf").touch()
    (tmp_path / "redis.conf").touch()
    monkeypatch.setattr(assets, "_HERE", package)
    assert asset("redis.conf") == package / "_assets" / "redis.conf"


def test_without_an_installed_copy_the_checkout_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis.conf").touch()
    monkeypatch.setattr(assets, "_HERE", tmp_path / "llmctx")
    assert asset("redis.conf") == tmp_path / "redis.conf"
