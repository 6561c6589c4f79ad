import dataclasses
import json

import pandas as pd

from analysis.questions.claims import read_claims
from analysis.questions.verdicts import barriers
from analysis.settings import flat
from bench.cells.cell import settle
from bench.config import compose_config
from bench.data.tasks import ALL_TASKS


def recorded(*words):
    """What a run's params say of its protocol, as the report reads them."""
    config = settle(compose_config(["data=chexpert", "data.root=/x", *words]), ALL_TASKS)
    values = flat({"protocol": dataclasses.asdict(config)["protocol"]})
    text = json.dumps({key: str(value) for key, value in values.items() if key != "protocol.name"})
    return pd.DataFrame(
        [
            {"arch": f"net{i}", "pretrained": False, "weights": "none", "protocol_values": text, "protocol": "paper"}
            for i in range(10)
        ]
    )


def test_a_run_of_the_papers_protocol_as_it_is_recorded_hinders_no_verdict():
    assert barriers(recorded("protocol=paper"), read_claims().requires) == []


def test_a_value_that_is_not_the_files_is_named():
    for words, said in (
        (["protocol.micro_batch=8"], "protocol.micro_batch=8 (file: None)"),
        (["protocol.image.crop=64"], "protocol.image.crop=64 (file: 320)"),
    ):
        found = barriers(recorded("protocol=paper", *words), read_claims().requires)
        assert found == [f"protocol values that are not those of its file: {said}"]
