"""Silences what libraries print that is neither about the user's run nor in the user's hands; each with its reason."""

import logging
import warnings


def quiet() -> None:
    """Called once by each command, before Lightning is used."""
    import pytorch_lightning  # noqa: F401  # first, as its import sets the level of its logger

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # lists absent devices and advertises a product
    warnings.filterwarnings(  # Lightning 2.6.6 on torch 2.14: its own use of a name that torch renamed
        "ignore", message=r".*isinstance\(treespec, LeafSpec\).*"
    )
    warnings.filterwarnings(  # the number of workers is a key of ours, measured and documented in conf/trainer
        "ignore", message=r".*does not have many workers.*"
    )
    warnings.filterwarnings("ignore", message=r"GPU available but not used.*")  # trainer=cpu was asked for
    warnings.filterwarnings(  # jobs on Slurm are started by submitit, not by srun
        "ignore", message=r"The `srun` command is available on your system.*"
    )
