"""What README and docs/ tell people to type is true: commands, keys, values, make targets, files and links."""

import importlib.util
import re
import shlex
import shutil
import subprocess
from functools import cache

import pytest

from analysis.errors import SettingsError
from analysis.export import KEYS
from analysis.paper import PaperSettings
from analysis.settings import DEFAULTS, ExportSettings, read, read_settings
from bench.config import compose_config, groups
from bench.convert import SHORT as SHORT_OF_CONVERT
from bench.convert import respelt
from bench.errors import ConfigError, MissingExtraError
from bench.overrides import SHORT
from bench.paths import PROJECT
from bench.schema import SCHEMAS, leaves
from bench.sweeps.plan import plan
from docs.reference import rows

DOCS = sorted(path for path in (PROJECT / "docs").glob("*.md") if path.name != "reference.md")
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in [PROJECT / "README.md", *DOCS]}
ALL = "\n".join(TEXTS.values())
FLAGS = {"--dry-run", "--json", "--watch", "--help"}
PRIMARY = {f"bench.{name}": name for name in ("pretrain", "cam", "export", "publish", "sync")}
PRIMARY |= {f"bench.{name}": "config" for name in ("run", "status", "prefetch", "prepare")}
PLACES = {"ID": "0" * 32, "NAME": "paper", "ARCH": "resnet18"}
"""What stands in the pages for something of the reader's own."""
COMMAND = re.compile(r"python -m ((?:bench|analysis|docs|tests)\.[a-z.]+)([^`;&|>\n]*)")
KEY = re.compile(r"`\+?([a-z_]+(?:\.[a-z_]+)*)=[^`\s]*`")
FILE = re.compile(r"`((?:conf|sweeps|bench|analysis|docs|tests)/[\w/-]+\.(?:py|yaml|md|csv))`")
SWEEP = "+sweeps="
MAKE = re.compile(r"`make ([a-z-]+)`|^\$ make ([a-z-]+)", re.MULTILINE)


def commands(text):
    """(module, words) of every `python -m` of this project's in a page, in the order in which they are written."""
    whole = text.replace("\\\n", " ")
    console = "\n".join(re.findall(r"```console\n(.*?)```", whole, re.DOTALL))
    prose = re.sub(r"```.*?```", "", whole, flags=re.DOTALL)
    typed = [line for line in console.splitlines() if line.startswith("$") and "<Tab>" not in line]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    for line in [*typed, *spans]:
        for module, found in COMMAND.findall(line):
            rest = found if found.count("'") % 2 == 0 else found.replace("'", "", 1)  # the end of a quoted command
            words = shlex.split(rest, comments=True)
            yield module, tuple(filled(word) for word in words if word != "...")


def filled(word):
    """A word with something of the reader's own in the place of NAME, ID, `...` and what is in angle brackets."""
    key, equals, value = word.partition("=")
    if value == "..." or "<" in value:
        value = "0" * 32 if "run" in value else "/somewhere"
    return f"{key}{equals}{PLACES.get(value, value)}"


COMMANDS = sorted({(page, *command) for page, text in TEXTS.items() for command in commands(text)})


def understood(module, words):
    """Hands the words to what the command itself asks first; it raises where they are wrong."""
    if module in PRIMARY:
        sweeps = {word.removeprefix(SWEEP) for word in words if word.startswith(SWEEP)}
        assert sweeps <= set(groups("config")["sweeps"])  # whose cells tests/bench/sweeps/test_plan.py composes
        planned(tuple(word for word in words if word not in FLAGS and not word.startswith(SWEEP)), PRIMARY[module])
    elif module == "bench.convert":
        plan(respelt(words), "convert")
    elif module == "bench.architectures":
        compose_config(words, "architectures")
    elif module == "analysis.report":
        read_settings(words)
    elif module == "analysis.export":
        read(words, ExportSettings, DEFAULTS, KEYS)
    elif module == "analysis.paper":
        read(words, PaperSettings)


@cache
def planned(words, primary):
    return plan(words, primary)


@pytest.mark.parametrize(("page", "module", "words"), COMMANDS, ids=lambda part: part if isinstance(part, str) else "")
def test_a_command_is_understood_by_its_module(page, module, words):
    assert importlib.util.find_spec(module) is not None
    if words:  # else the text speaks of the command, or types it without anything
        try:
            understood(module, words)
        except MissingExtraError as error:
            pytest.skip(str(error))


def test_a_wrong_key_value_and_sweep_are_seen():
    for module, words in [
        ("bench.run", ("archh=resnet18",)),
        ("bench.status", ("seed=-1",)),
        ("analysis.report", ("resample=9",)),
        ("analysis.paper", ("experiment=demo",)),
        ("bench.architectures", ("outputs=0",)),
    ]:
        with pytest.raises((ConfigError, SettingsError), match=words[0].partition("=")[0]):
            understood(module, words)
    with pytest.raises(AssertionError):
        understood("bench.run", ("+sweeps=papers",))


def test_a_command_is_found_wherever_it_is_written():
    page = """Say `python -m
bench.status +sweeps=NAME --json`.
```console
$ A=1 python -m bench.run -m arch=ID \\
      data.root=... > log & # a comment
printed: python -m bench.nothing
$ for gpu in 0 1; do nohup 'srun python -m bench.sync outputs=/x ...'; done
```
"""
    assert list(commands(page)) == [
        ("bench.run", ("-m", f"arch={'0' * 32}", "data.root=/somewhere")),
        ("bench.sync", ("outputs=/x",)),
        ("bench.status", ("+sweeps=paper", "--json")),
    ]


def test_make_has_every_target_that_is_named():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for pair in MAKE.findall(ALL) for name in pair if name}
    assert named
    assert named <= targets


def test_every_key_that_the_pages_set_is_one():
    keys = {key for schema in SCHEMAS.values() for key, _ in leaves(schema)} | {
        row[0] for name in ("report", "results") for row in rows(PROJECT / "conf" / f"{name}.yaml")
    }
    keys |= {group for primary in SCHEMAS for group in groups(primary)} | set(SHORT) | set(SHORT_OF_CONVERT)
    keys |= {"summary"}  # a tag of MLflow's runs
    typed = {key for key in KEY.findall(ALL) if not key.startswith(("hydra", "data.uncertain."))}
    assert len(typed) > 15
    assert typed <= keys


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_and_file_of_this_project_is_there(page):
    folder = PROJECT if page == "README.md" else PROJECT / "docs"
    links = [folder / link.partition("#")[0] for link in re.findall(r"\]\(([^)#:]+)\)", TEXTS[page])]
    files = [PROJECT / file for file in FILE.findall(TEXTS[page])]
    assert [path for path in [*links, *files] if not path.exists()] == []


def test_the_readme_leads_to_every_page():
    assert [
        path.name for path in (PROJECT / "docs").glob("*.md") if f"(docs/{path.name})" not in TEXTS["README.md"]
    ] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize(("target", "extra"), [("demo", "."), ("test", "'.[dev]'")])
def test_make_installs_what_a_target_needs(target, extra, tmp_path):
    """The demo runs and reports: it waits for no test's, Slurm's or Ray's package."""
    said = subprocess.run(
        ["make", "--dry-run", target, f"VENV={tmp_path}/new"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    installs = re.findall(r"pip install .*--editable (\S+)", said)
    assert installs == list(dict.fromkeys([".", extra]))
