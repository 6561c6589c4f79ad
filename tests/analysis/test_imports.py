import ast
from pathlib import Path

import pytest

import analysis

MODULES = sorted(Path(analysis.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_neither_torch_nor_bench_is_imported(path):
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add((node.module or "").partition(".")[0])
    assert not roots & {"torch", "torchvision", "torchmetrics", "timm", "lightning", "pytorch_lightning", "bench"}
    if path.name != "io.py":
        assert "mlflow" not in roots


def test_the_check_sees_the_modules():
    assert {"io.py", "auroc.py", "report.py", "style.py"} <= {path.name for path in MODULES}
