"""A template is tried in a process of its own when it is loaded: whatever it does ends in a plain error."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from llmctx.assets import asset
from llmctx.errors import TemplateError
from llmctx.prompt import check
from llmctx.prompt.sources import MAX_FILE_BYTES, MAX_FILES, collect
from llmctx.prompt.template import Template, load_template, versions_of
from llmctx.version import VERSION

HEAD = "---\nname: probe\nversion: 1\ndescription: A probe.\noutput: decision\n"
CPU = "takes more than 2 s of CPU time"
MEMORY = "takes more than 512 MB of memory"
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
LONG = "renders to more than 200000 characters"


def folder_of(folder: Path, user: str, head: str = HEAD, **files: str) -> Path:
    """A folder with probe/v1, and beside it these files (`rules` is shared/rules.md)."""
    (folder / "probe").mkdir(parents=True)
    (folder / "shared").mkdir()
    (folder / "probe/v1.md.j2").write_text(f"{head}---\nsystem:\nYou decide.\nuser:\n{user}\n")
    for name, text in files.items():
        (folder / f"shared/{name}.md").write_text(text)
    return folder


def refused(folder: Path, state_dir: Path | None = None) -> str:
    with pytest.raises(TemplateError) as caught:
        load_template(folder, "probe", state_dir)
    return caught.value.what


@pytest.mark.parametrize(
    ("user", "exceeded"),
    [
        (ENDLESS, CPU),
        pytest.param("{{ 10**10000000 }}", CPU, marks=pytest.mark.more),
        ("{% if symbol == 'never' %}{{ 10**10000000 }}{% endif %}", CPU),
        pytest.param("{% set x = ('x ' * 5000000) | wordwrap(1) %}", CPU, marks=pytest.mark.more),
        ("{{ '%1000000000d' % 1 }}", MEMORY),
        ("{{ 'x' | center(1000000000) }}", MEMORY),
        pytest.param("{{ 'x'.ljust(1000000000) | length }}", MEMORY, marks=pytest.mark.more),
        pytest.param("{{ '{:1000000000}'.format(1) }}", MEMORY, marks=pytest.mark.more),
        pytest.param("{{ ('x' * 400000000).split('x') | length }}", MEMORY, marks=pytest.mark.more),
        ("{{ '%10000000d' % 1 }}", LONG),
        ("{% for a in sections %}{% for b in sections %}{{ a.text }}{% endfor %}{% endfor %}", LONG),
    ],
)
def test_a_template_that_takes_too_much_is_named_with_what_it_exceeds(user: str, exceeded: str, tmp_path: Path) -> None:
    assert refused(folder_of(tmp_path / "p", user)).startswith(f"The template probe/v1 {exceeded}")


@pytest.mark.more
def test_includes_that_double_are_refused(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(30)]
    twice = {a: f'{{% include "shared/{b}.md" %}}' * 2 for a, b in pairwise(names)} | {"n29": ""}
    told = refused(folder_of(tmp_path / "p", '{% include "shared/n0.md" %}', **twice))
    assert told.startswith(f"The template probe/v1 {CPU}")


def test_front_matter_that_unfolds_is_refused(tmp_path: Path) -> None:
    layers = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    head = f"---\na0: &a0 [x, x]\n{layers}? *a11\n: 1\n"
    assert refused(folder_of(tmp_path / "p", "x", head)).startswith("The template probe/v1 takes more than")


@pytest.mark.parametrize(
    "user",
    ["{% for a in sections %}" * 30 + "{% endfor %}" * 30, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"],
)
def test_a_template_that_is_nested_too_deeply_is_named_with_its_file(user: str, tmp_path: Path) -> None:
    told = refused(folder_of(tmp_path / "p", user))
    assert told.startswith("probe/v1.md.j2, line ")
    assert "nested too deeply" in told


def test_a_link_that_leads_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    folder = folder_of(tmp_path / "p", '{% include "shared/rules.md" %}')
    (folder / "shared/rules.md").symlink_to(tmp_path / "secret")
    assert "probe/v1.md.j2 asks for shared/rules.md, a link to" in refused(folder)
    (folder / "shared/rules.md").unlink()
    (folder / "shared/rules.md").symlink_to("/dev/zero")
    assert "outside" in refused(folder)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "p", '{% include "shared/rules.md" %}', other="Rules.")
    (folder / "shared/rules.md").symlink_to("other.md")
    assert load_template(folder, "probe").sources["shared/rules.md"] == "Rules."


def test_what_is_not_a_file_or_too_large_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "p", '{% include "shared/rules.md" %}')
    os.mkfifo(folder / "shared/rules.md")
    assert "shared/rules.md, which is not a file" in refused(folder)
    (folder / "shared/rules.md").unlink()
    (folder / "shared/rules.md").write_text("x" * (MAX_FILE_BYTES + 1))
    assert f"shared/rules.md, which is larger than {MAX_FILE_BYTES} bytes" in refused(folder)


def test_a_template_of_too_many_files_is_refused(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(MAX_FILES)]
    user = "".join(f'{{% include "shared/{name}.md" %}}' for name in names)
    assert f"more than {MAX_FILES} files" in refused(folder_of(tmp_path / "p", user, **dict.fromkeys(names, "")))


def test_a_recorded_template_is_checked_too() -> None:
    sources = {"probe/v1.md.j2": f"{HEAD}---\nsystem:\nx\nuser:\n{{{{ 'x' | center(2000000000) }}}}\n"}
    bundle = b'{"ref":"probe/v1","sources":{"probe/v1.md.j2":%s}}'
    text = sources["probe/v1.md.j2"].replace("\n", "\\n").encode()
    with pytest.raises(TemplateError, match=f"The template probe/v1 {MEMORY}"):
        Template.from_bundle(bundle % (b'"' + text + b'"'))


def test_an_error_that_is_not_one_of_size_is_left_to_the_rendering(tmp_path: Path) -> None:
    assert load_template(folder_of(tmp_path / "p", "{{ 1 / 0 }}"), "probe").ref == "probe/v1"


def test_shipped_templates_need_no_check() -> None:
    shipped = [load_template(asset("prompts"), ref) for ref in versions_of(asset("prompts"))]
    assert {template.sha256 for template in shipped} == check.SHIPPED


def test_a_state_directory_remembers_what_was_checked(tmp_path: Path) -> None:
    folder, state_dir = folder_of(tmp_path / "p", f"{{{{ symbol }}}} {tmp_path}"), tmp_path / "state"
    state_dir.mkdir()
    template = load_template(folder, "probe", state_dir)
    kept = state_dir / "checked-templates"
    assert template.sha256 in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_what_a_state_directory_remembers_is_not_checked_again(tmp_path: Path) -> None:
    folder, state_dir = folder_of(tmp_path / "p", "{{ '%10000000d' % 1 }}"), tmp_path / "state"
    assert LONG in refused(folder, state_dir)
    assert not state_dir.exists()
    state_dir.mkdir()
    sources = collect(folder, "probe/v1.md.j2", "the test")
    sha256 = Template("probe/v1", sources).sha256
    (state_dir / "checked-templates").write_text(f"{VERSION} {sha256}\n")
    assert load_template(folder, "probe", state_dir).sha256 == sha256
