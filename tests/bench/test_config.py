import dataclasses
import re
import subprocess
import sys

import pytest

from bench.config import Composer, compose_config
from bench.errors import ConfigError
from bench.paths import CONF, PROJECT
from bench.schema import Config, leaves
from bench.sweeps.plan import in_order, plan


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("arch=densenet12", r"did you mean 'densenet121'\? Valid: densenet121, .*resnet50"),
        ("truncat=1", r"unknown key 'truncat'; did you mean 'truncate'\? Valid keys: arch, .*tracking.uri"),
        ("data.rot=/x", r"unknown key 'data.rot'; did you mean 'data.root'"),
        ("pretrained=maybe", r"pretrained: .*'maybe'.* Valid: true, false"),
        ("seed=-1", r"seed=-1: must be at least 0"),
        ("seed=1.5", r"seed: .*1\.5"),
        ("truncate=-1", r"truncate=-1: must be at least 0"),
        ("truncate=4", r"truncate=4: densenet121 has the depths 0 to 3"),
        ("data.uncertain=u-one", r"data.uncertain.default=u-one: not one of u-ignore, u-zeros, u-ones"),
        ("data.valid_fraction=1", r"data.valid_fraction=1\.0: must be below 1"),
        ("protocol=papr", r"protocol=papr: no such protocol; did you mean 'paper'\? Valid: paper, quick"),
        ("+sweeps=dem", r"sweeps=dem: no such sweeps; did you mean 'demo'"),
        ("protocol.lr=fast", r"protocol.lr=fast: not a number or auto"),
        ("arch", r"arch: not of the form key=value"),
        ("~seed", r"~seed: a key cannot be taken away; give it a value, seed=..."),
        ("~truncate=0", r"~truncate=0: a key cannot be taken away"),
        ("~adapt", r"~adapt: a key cannot be taken away"),
        ("~data.uncertain.default", r"~data.uncertain.default: a key cannot be taken away"),
        ("~data", r"~data: a key cannot be taken away"),
        (
            "seed=glob(*)",
            r"seed=glob\(\*\): glob\(...\) chooses among files of conf/seed/; there are none, as only arch, ",
        ),
        ("arch=glob(nope*)", r"arch=glob\(nope\*\): .*; there are densenet121, "),
        (
            "outputs=/tmp/epoch=3/x",
            "outputs=/tmp/epoch=3/x: the value must be quoted, as in 'outputs=./tmp/epoch=3/x.' ",
        ),
        ("data.root=/a (b)", r"data.root=/a \(b\): the value must be quoted"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_the_valid_ones(override, message):
    with pytest.raises(ConfigError, match=message):
        compose_config([override])


def test_all_values_out_of_range_are_named_together():
    with pytest.raises(ConfigError, match=r"seed=-1.*; .*protocol.epochs=0"):
        compose_config(["seed=-1", "protocol.epochs=0"])


def test_values_arrive_with_their_types():
    config = compose_config(["arch=resnet34", "pretrained=false", "seed=0", "protocol=paper"])
    assert (config.arch.name, config.pretrained, config.seed) == ("resnet34", False, 0)
    assert config.protocol.lr == 1e-4
    assert config.protocol.betas == [0.9, 0.999]
    assert config.data.phantom.train_patients == 480


def test_the_paper_protocol_is_the_table_of_defaults():
    """PROTOCOL.md, "Defaults where the paper is silent", line by line; split and bootstrap are tested elsewhere."""
    config = compose_config(["protocol=paper", "data=chexpert", "data.root=x"])
    assert (config.data.tasks, dict(config.data.uncertain), config.data.views) == (
        "all",
        {"default": "u-ignore"},
        "all",
    )
    assert dataclasses.asdict(config.evaluation) == {"tasks": "competition", "level": "study", "views": "max"}
    table = {
        "epochs": 3, "batch_size": 16, "micro_batch": None, "lr": 1e-4, "lr_decay": 1.0, "betas": [0.9, 0.999],
        "weight_decay": 0.0, "image": {"resize": 320, "crop": 320, "flip": False},
        "checkpoints": {"every_examples": 8192, "keep": 10, "average": "probability"},
    }  # fmt: skip
    ours = {"name": "paper", "probe_epochs": 1, "lr_grid": [3e-5, 1e-4, 3e-4, 1e-3]}
    assert dataclasses.asdict(config.protocol) == table | ours


def test_every_value_of_the_paper_protocol_says_whose_it_is():
    lines = (CONF / "protocol" / "paper.yaml").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if re.match(r" *\w+: *[^ #]", line) and not line.startswith("name:")]
    assert len(values) == 15
    assert [line for line in values if not re.search(r" # (recipe|ours)\b", line)] == []


@pytest.mark.parametrize("arguments", [["--help"], ["arch=densenet12"], ["-m", "pretrained=true,maybe"]])
def test_help_and_refusals_import_no_torch(arguments):
    code = f"""
import sys
from bench.run import main
try:
    status = main({arguments})
except SystemExit as stop:
    status = stop.code
print(status, sorted({{"torch", "mlflow", "pandas"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    expected = 0 if arguments == ["--help"] else 2
    assert done.stderr.strip().splitlines()[-1] == f"{expected} []"
    if expected == 0:
        assert len(done.stdout.splitlines()) < 100
        assert "densenet121" in done.stdout


def test_the_keys_that_help_names_are_keys():
    text = (CONF / "config.yaml").read_text(encoding="utf-8")
    named = set(
        re.findall(r"(?<![\w.])((?:arch|data|weights|protocol|trainer|tracking|evaluation)(?:\.\w+)+)(?==)", text)
    )
    assert len(named) > 15
    assert named <= {key for key, _ in leaves(Config)}


@pytest.mark.parametrize(
    "overrides",
    [
        ["arch=resnet34", "seed=3", "protocol.lr=1", "data.valid_fraction=0.25"],
        ["arch=resnet34", "data.uncertain=u-zeros", "data.uncertain.edema=u-ones", "data.tasks=[edema,atelectasis]"],
        ["protocol=paper", "protocol.lr=auto", "protocol.betas=[0.8,0.99]", "data.split_file=null"],
        ["+sweeps=demo", "arch=resnet18", "pretrained=false"],
        ["arch=timm", "arch.name=regnety_002", "data.external=[nih]", "data.roots.nih=/x"],
        ["data=csv", "data.table.labels=[a,b]", "evaluation.tasks=all"],
    ],
)
def test_many_are_composed_as_one_is(overrides):
    assert Composer().compose(overrides) == compose_config(overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=-1"], "seed=-1: must be at least 0"),
        (["pretrained=maybe"], "pretrained"),
        (["truncate=9"], "has the depths 0 to 3"),
        (["adapt=last:9"], "last:1 to last:4"),
        (["protocol.image.crop=128"], "larger than protocol.image.resize=96"),
        (["protocol.micro_batch=5"], "must be a multiple of protocol.micro_batch=5"),
        (["trainer.devices=3"], "that of trainer.devices=3"),
        (["adapt=lpft", "trainer.devices=2"], "on one device only"),
        (["protocol.lr=auto", "protocol.lr_grid=[]"], "needs protocol.lr_grid"),
        (["arch=inception_v3", "protocol.image.crop=64", "protocol.image.resize=64"], "75"),
    ],
)
def test_what_does_not_fit_together_is_refused_one_by_one_and_in_sweeps(overrides, message):
    for compose in (compose_config, Composer().compose):
        with pytest.raises(ConfigError, match=message):
            compose(["arch=densenet121", *overrides])


def test_a_users_own_folder_of_configuration_is_looked_in(tmp_path):
    quick = (CONF / "protocol" / "quick.yaml").read_text(encoding="utf-8")
    sweep = "# @package _global_\nsweep:\n  name: own\n  grids:\n    - seed: '4,5'\nhydra:\n  mode: MULTIRUN\n"
    for name, text in {"protocol/mine": quick.replace("name: quick", "name: mine"), "sweeps/own": sweep}.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    own = ["--config-dir", str(tmp_path)]
    assert [one.protocol.name for one in plan([*own, "-m", "protocol=mine,quick"]).configs] == ["mine", "quick"]
    assert [one.seed for one in plan([*own, "+sweeps=own"]).configs] == [4, 5]
    mixed = ["seed=0,1", *own, "protocol=mine", "-m", "truncate=1"]
    assert [one.protocol.name for one in plan(mixed).configs] == ["mine", "mine"]
    assert in_order(mixed) == [*own, "-m", "seed=0,1", "protocol=mine", "truncate=1"]
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        plan([*own, "protocol=min"])
    with pytest.raises(ConfigError, match="no such protocol"):
        plan(["protocol=mine"])
    with pytest.raises(ConfigError, match="no such folder"):
        plan(["--config-dir", str(tmp_path / "none")])
    assert compose_config([]).protocol.name == "quick"  # what was refused is not looked in
