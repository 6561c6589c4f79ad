"""What a tracking server answers, as errors of ours: `analysis.store.answers` is the table."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from analysis.store.answers import MISSING, NO, TAKEN, answer, explain
from bench.errors import TrackingError


class UnavailableError(TrackingError):
    """The store could not do it: it does not answer, or cannot now; later it may."""


class RefusedError(UnavailableError):
    """The store says no, and will until somebody mends what the message names."""


class AbsentError(TrackingError):
    """There is no such store or experiment yet, and whoever only looks makes none."""


class MissingError(TrackingError):
    """The store has no such run, tag or artifact."""


class TakenError(TrackingError):
    """The name exists already."""


_KINDS: dict[str, type[TrackingError]] = {MISSING: MissingError, TAKEN: TakenError, NO: RefusedError}


@contextmanager
def translated() -> Iterator[None]:
    """In the block, errors of MLflow, of a database and of files are this module's.

    Raises:
        MissingError: MLflow has nothing of that name or id.
        TakenError: MLflow has something of that name already.
        RefusedError: asking again changes nothing.
        UnavailableError: every other error of theirs.
    """
    try:
        yield
    except (MlflowException, OSError, SQLAlchemyError) as error:
        raise _KINDS.get(answer(error).means, UnavailableError)(explain(error)) from None
