"""Where downloaded artifacts lie while they are used."""

import atexit
import functools
import shutil
import tempfile


@functools.cache
def copies(run_id: str) -> str:  # noqa: ARG001  # its key
    """The folder for what this process downloads of a run, removed as it ends; MLflow's own folders would stay."""
    folder = tempfile.mkdtemp(prefix="chextransfer-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
