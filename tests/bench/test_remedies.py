"""What messages tell a user to type: every key is one, every command is there, and what is typed helps."""

import ast
import importlib.util
import re
import shlex
import shutil
import tomllib

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from bench import config, convert, overrides, sync
from bench.cells.ready import ready
from bench.cells.runner import run_cell
from bench.config import compose_config
from bench.data.sets import open_dataset
from bench.errors import BenchError, DataError
from bench.finished.prediction import prediction_of
from bench.finished.saved import open_run
from bench.paths import CONF, PROJECT
from bench.schema import SCHEMAS, leaves
from bench.sweeps.closing import closing_table
from bench.sweeps.plan import plan
from bench.tracking.stores import store_of
from tests import told

KEY = re.compile(r"(?<![\w./:={-])([a-z][a-z_]*(?:\.[a-z_]+)*)=(?=[\w<\[{'\"*])")
COMMAND = re.compile(r"python -m ((?:bench|analysis)\.\w+)")
WITH = {"arch=timm": ["arch.name=vgg11_bn"]}
NO_KEYS = {"step", "rank", "lr", "key", "force", "enforce_file_format"}
"""Words before an equals sign that are none of ours: of file names, of `key=value` itself, and pydicom's."""


def messages():
    """(file, text) of every text of `bench` that is no docstring; `*` for what is filled in."""
    for path in sorted((PROJECT / "bench").rglob("*.py")):
        tree = ast.parse(path.read_text())
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield path.name, "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
                yield path.name, node.value


def known():
    found = {key for schema in SCHEMAS.values() for key, _ in leaves(schema)}
    found |= {group for name in SCHEMAS for group in config.groups(name)} | set(overrides.SHORT) | set(convert.SHORT)
    return found | set(_flat(OmegaConf.to_container(OmegaConf.load(CONF / "report.yaml"))))


def _flat(nested, prefix=""):
    for key, value in nested.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")


def test_every_key_that_a_message_names_is_one():
    keys, entries = known() | NO_KEYS, ("data.uncertain.", "data.roots.", "hydra.")
    named = [(path, key, text) for path, text in messages() for key in KEY.findall(text)]
    assert len(named) > 100
    assert [found for found in named if found[1] not in keys and not found[1].startswith(entries)] == []


def test_every_command_that_a_message_names_is_there():
    named = {command for _, text in messages() for command in COMMAND.findall(text)}
    assert len(named) > 3
    assert [command for command in named if importlib.util.find_spec(command) is None] == []


def test_every_value_that_a_message_gives_is_taken():
    """Its schema has the value too; what depends on other keys is asked below."""
    options = {group: known for name in SCHEMAS for group, known in config.groups(name).items()}
    given = {text for _, message in messages() for text in told.keys(message) if "*" not in text}
    given = {text for text in given if KEY.match(text) and not re.search(r"DIR|NAME|FILE|interval\(|\.\.\.", text)}
    primaries = {key: name for name, schema in reversed(SCHEMAS.items()) for key, _ in leaves(schema)}
    taken = set()
    for text in given:
        key = text.partition("=")[0]
        if key in options or key in primaries:
            compose_config(
                [text, *WITH.get(text, [])],
                primaries.get(key, "pretrain" if key == "source" else "config"),
                whole=False,
            )
            taken.add(key)
    assert len(taken) > 15


def test_every_extra_that_a_message_names_is_one():
    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for _, text in messages() for extra in re.findall(r"pip install -e '\.\[([a-z]+)\]'", text)}
    assert "dicom" in named
    assert named <= set(listed)


def opened(settings):
    return open_dataset(settings.data)


def read(settings):
    return ready(opened(settings), settings, announce=lambda _: None)


def trained(settings):
    return run_cell(settings, store_of(settings))


def exported(settings):
    return prediction_of(open_run(store_of(settings), trained(settings).run_id))


def searched(words):
    return plan(["-m", "hydra/sweeper=optuna", *words])


SMALL = ("truncate=3", "trainer.precision=fp32")
AGAIN = "tracking.experiment=another"
REFUSED = [
    (None, ("adapt=lpft", "trainer.devices=2"), ["trainer.devices=1"]),
    (None, ("protocol.lr=auto", "protocol.lr_grid=[]"), ["protocol.lr_grid=[...]"]),
    (None, ("outputs=/a=b/(c)",), ['outputs="/a=b/(c)"']),
    (None, ("~seed",), ["seed=..."]),
    (
        None, ("arch=timm", "arch.name=vit_tiny_patch16_224"),
        ["protocol.image.crop=224", "protocol.image.resize=224"],
    ),
    (searched, (), ["protocol.lr=interval(1e-5,1e-2)"]),
    (opened, ("data.root=null",), ["data.root=DIR"]),
    (opened, ("data.root=UP",), ["data.root=DIR"]),
    (trained, (*SMALL, "trainer=gpu"), ["trainer=cpu"]),
    (trained, (*SMALL, "trainer=cpu", "trainer.precision=tf32"), ["trainer.precision=fp32"]),
    (exported, (*SMALL, "tracking.checkpoints=none"), ["tracking.checkpoints=kept", AGAIN]),
    (exported, (*SMALL, "protocol.checkpoints.average=task"), ["protocol.checkpoints.average=probability"]),
]  # fmt: skip
"""How it is tried, what is typed, and what the refusal says to type."""
PLACES = {"DIR": "{0}", "UP": "{0.parent}", "[...]": "[1e-3]", "...": "1"}


def instead(words, said):
    """Some words, with others in the place of those of the same keys."""
    new = {word.lstrip("~").partition("=")[0] for word in said}
    return [word for word in words if word.lstrip("~").partition("=")[0] not in new] + list(said)


@pytest.mark.parametrize(("attempt", "words", "remedy"), REFUSED)
def test_what_a_refusal_says_is_typed_and_helps(attempt, words, remedy, configure, phantom_root):
    def try_it(typed):
        for place, filled in PLACES.items():
            typed = [word.replace(place, filled.format(phantom_root)) for word in typed]
        if attempt is searched:
            return searched(typed)
        settings = configure(*typed)
        return attempt(settings) if attempt else None

    with pytest.raises(BenchError) as refusal:
        try_it(words)
    said = [text.replace(str(phantom_root), "DIR") for text in told.keys(str(refusal.value))]
    assert [text for text in remedy if text not in (*said, AGAIN)] == []
    try_it(instead(words, remedy))


@pytest.fixture
def torn(configure, phantom_root, tmp_path):
    """Composes configurations of a set whose last training image is damaged, or not there."""
    root = tmp_path / "CheXpert-torn"
    shutil.copytree(phantom_root, root)
    image = root.parent / (root / "train.csv").read_text().splitlines()[-1].split(",")[0].replace(
        phantom_root.name, root.name
    )

    def make(content, *words):
        image.unlink(missing_ok=True)
        if content is not None:
            image.write_bytes(content)
        return configure(f"data.root={root}", f"data.cache={tmp_path}/cache", *words)

    return make


@pytest.mark.parametrize("content", [None, b"\xff\xd8"], ids=["missing", "torn"])
def test_a_set_with_an_image_that_cannot_be_used_says_what_to_type(torn, content):
    with pytest.raises(DataError) as refusal:
        read(torn(content))
    assert told.keys(str(refusal.value)) == ["data.on_bad_image=skip"]
    read(torn(content, *told.keys(str(refusal.value))))


def test_without_a_server_the_messages_lead_to_a_run_that_is_recorded(configure):
    with pytest.raises(BenchError) as refusal:
        trained(configure(*SMALL, "tracking.uri=http://127.0.0.1:9"))
    (key,) = [text for text in told.keys(str(refusal.value)) if text.startswith("tracking.offline")]
    offline = configure(*SMALL, key)
    trained(offline)
    assert "python -m bench.sync" in str(refusal.value)
    console = Console(record=True, width=500)
    closing_table(console, [offline])
    (upload,) = re.findall(r"upload: +python -m bench.sync (.*)", console.export_text())
    assert sync.main(shlex.split(upload)) == 0
    assert [run.status for run in store_of(configure(*SMALL)).server.runs()] == ["FINISHED"]
