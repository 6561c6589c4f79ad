import shlex

import pytest

from bench.config import compose_config
from bench.overrides import typed


@pytest.mark.parametrize(
    "value",
    [
        "outputs", "/data/CheXpert v1.0 (small)/a,b", "/tmp/epoch=3/x", "it's", "a\\", 'say "x"', "$HOME `x` #1",
        "null", "1e3", "{a}", "[x]", "~/x", "ü ñ", " ", "true", "a:b", "50%", "x\\'y",
    ],
)  # fmt: skip
def test_what_is_pasted_into_a_shell_arrives_as_it_was(value):
    (word,) = shlex.split(typed("tracking.experiment", value))
    assert compose_config([word]).tracking.experiment == value
