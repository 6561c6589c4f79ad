import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.paths import PROJECT

PAGE = (PROJECT / "docs" / "completion.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("python -m bench.run seed=1 arch=resnet3", ["arch=resnet34"]),
        ("python -m bench.status +sweeps=de", ["+sweeps=demo"]),
        ("python -m http.server protocol=", []),
    ],
)
def test_the_lines_for_bash_complete(typed, offered):
    script = PAGE.partition("```bash\n")[2].partition("```")[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f'{script}\nCOMP_LINE="{typed}"\n_bench\necho "${{COMPREPLY[@]}}"'],
        cwd=PROJECT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == offered
