import pytest

from bench.errors import MissingExtraError
from bench.extras import extra


def test_a_package_that_is_there_is_imported():
    assert extra("json.decoder", "cam").JSONDecoder


def test_a_missing_package_names_the_extra_that_brings_it():
    with pytest.raises(MissingExtraError, match=r"no_such_package is not installed: pip install -e '\.\[export\]'"):
        extra("no_such_package.part", "export")


def test_a_package_that_misses_another_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        extra("broken_package", "cam")
