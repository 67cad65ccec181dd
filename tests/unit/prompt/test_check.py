"""A template is tried in a process of its own when it is loaded: whatever it does ends in a plain error."""

import os
import time
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
STEPS = "takes more than 250000 steps"
WIDTH = "a width above 999"
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
        (ENDLESS, STEPS),
        ("{{ '%1000000000d' % 1 }}", f"formats to {WIDTH}"),
        pytest.param("{{ '%*d' % (1000000, 1) }}", f"formats to {WIDTH}", marks=pytest.mark.more),
        pytest.param("{{ '{:1000000000}'.format(1) }}", f"formats to {WIDTH}", marks=pytest.mark.more),
        pytest.param("{{ '%1000000000d' | format(1) }}", f"formats to {WIDTH}", marks=pytest.mark.more),
        ("{% for a in sections %}{% for b in sections %}{{ a.text }}{% endfor %}{% endfor %}", LONG),
        ("{{ ''.__class__.__mro__ }}", "does what no template may: access to attribute '__class__'"),
    ],
)
def test_a_template_that_takes_too_much_is_named_with_what_it_exceeds(user: str, exceeded: str, tmp_path: Path) -> None:
    assert refused(folder_of(tmp_path / "p", user)).startswith(f"The template probe/v1 {exceeded}")


@pytest.mark.parametrize(
    "text",
    [
        ENDLESS,
        "{{ ('x ' * 5000000) | wordwrap(1) }}",
        "{% for a in range(100) %}{{ (('x ' * 50000) | wordwrap(1)) | length }}{% endfor %}",
        "{{ ('x' * 400000000).split('x') | length }}",
        "{{ 'x'.ljust(1000000000) | length }}",
        "{{ 'x'.replace('', 'y' * 5000) }}",
        "{% set ns = namespace(x='ab') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for a in range(99) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for a in range(99) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=9) %}{% for a in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        "{% macro m() %}{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}{% endmacro %}{{ m() | length }}",
        "{% set x %}{% for a in range(99999) %}" + "x" * 5000 + "{% endfor %}{% endset %}",
    ],
)
def test_a_branch_that_was_never_tried_is_bounded_too(text: str) -> None:
    source = f"{HEAD}---\nsystem:\nYou decide.\nuser:\n{{% if symbol == 'NEVER' %}}{text}{{% endif %}}\n"
    template, names = Template("probe/v1", {"probe/v1.md.j2": source}), {"symbol": "NEVER"}
    began_s = time.process_time()
    with pytest.raises(TemplateError, match="StepsError"):
        template.render_part(template.parts[1], names)
    assert time.process_time() - began_s < 5  # most take some hundredths


@pytest.mark.parametrize("text", ["10**10000000", "symbol ** 2", "'x' | center(1000000000)", "1.5 | round(5000)"])
def test_what_could_take_any_time_is_refused_in_every_branch(text: str) -> None:
    user = f"{{% if symbol == 'never' %}}{{{{ {text} }}}}{{% endif %}}"
    with pytest.raises(TemplateError) as caught:
        Template("probe/v1", {"probe/v1.md.j2": f"{HEAD}---\nsystem:\nYou decide.\nuser:\n{user}\n"})
    assert caught.value.what.startswith("probe/v1.md.j2, line 10: ")


def test_honest_work_is_within_the_limits() -> None:
    text = (
        "{% for a in range(500) %}{{ loop.index }} of {{ loop.length }}: {{ symbol | lower ~ ' ' ~ 25000000 * 2 }}"
        "{{ '%.2f' % 1.5 }} {{ '{:>8}'.format(symbol) | center(20) | trim }}{% endfor %}"
    )
    source = f"{HEAD}---\nsystem:\nYou decide.\nuser:\n{text}\n"
    template = Template("probe/v1", {"probe/v1.md.j2": source})
    shown = template.render_part(template.parts[1], {"symbol": "AAPL"})
    assert shown.startswith("1 of 500: aapl 500000001.50 AAPL")


@pytest.mark.more
def test_includes_that_double_are_refused(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(30)]
    twice = {a: f'{{% include "shared/{b}.md" %}}' * 2 for a, b in pairwise(names)} | {"n29": ""}
    told = refused(folder_of(tmp_path / "p", '{% include "shared/n0.md" %}', **twice))
    assert told.startswith(f"The template probe/v1 {STEPS}")


def test_front_matter_that_unfolds_is_refused(tmp_path: Path) -> None:
    layers = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    head = f"---\na0: &a0 [x, x]\n{layers}? *a11\n: 1\n"
    assert refused(folder_of(tmp_path / "p", "x", head)).startswith("The template probe/v1 takes more than")


@pytest.mark.parametrize(
    "user", ["{% for a in sections %}" * 30 + "{% endfor %}" * 30, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"]
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
    sources = {"probe/v1.md.j2": f"{HEAD}---\nsystem:\nx\nuser:\n{ENDLESS}\n"}
    bundle = b'{"ref":"probe/v1","sources":{"probe/v1.md.j2":%s}}'
    text = sources["probe/v1.md.j2"].replace("\n", "\\n").encode()
    with pytest.raises(TemplateError, match=f"The template probe/v1 {STEPS}"):
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
    folder, state_dir = folder_of(tmp_path / "p", ENDLESS), tmp_path / "state"
    assert STEPS in refused(folder, state_dir)
    assert not state_dir.exists()
    state_dir.mkdir()
    sources = collect(folder, "probe/v1.md.j2", "the test")
    sha256 = Template("probe/v1", sources).sha256
    (state_dir / "checked-templates").write_text(f"{VERSION} {sha256}\n")
    assert load_template(folder, "probe", state_dir).sha256 == sha256
