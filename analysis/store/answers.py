"""What an error of a tracking server means: one table, in the order in which it is read."""

import errno
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.store.uris import first_line

AWAY, NO, MISSING, TAKEN = "away", "no", "missing", "taken"
"""Ask again later; asking again changes nothing until somebody mends it; what was named is gone; the name exists."""

LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of a user of the server"
RIGHTS = "its owner or an administrator of the server can give user {user} the permission, EDIT to record there"
STORE = "whoever keeps the tracking store can mend it"


@dataclass(frozen=True)
class Answer:
    """A row of the table.

    Attributes:
        words: a regular expression, looked for in the error's code, HTTP status and text.
        means: AWAY, NO, MISSING or TAKEN.
        remedy: who can mend it and how, of a NO whose text does not say it.
    """

    words: str
    means: str
    remedy: str = ""


ANSWERS = (
    Answer("RESOURCE_ALREADY_EXISTS", TAKEN),
    Answer(r"RESOURCE_DOES_NOT_EXIST|run \w+ must be in the 'active' state", MISSING),
    Answer("artifact HTTP 404", MISSING),
    Answer(r"experiment \w+ must be in the 'active' state", NO, "restore it, or give another experiment"),
    Answer(r"UNAUTHENTICATED|CUSTOMER_UNAUTHORIZED|HTTP 401", NO, LOGIN),
    Answer(r"PERMISSION_DENIED|HTTP 403", NO, RIGHTS),
    Answer(r"HTTP 413", NO, "a proxy before the server refuses files of this size: whoever keeps it can allow them"),
    Answer(r"HTTP (408|409|425|429)", AWAY),
    Answer(
        r"ENDPOINT_NOT_FOUND|HTTP [34]\d\d|not in a valid JSON format", NO,
        "nothing at this address answers as MLflow does: a login page or a path that is missing from the address?",
    ),
    Answer("CERTIFICATE_VERIFY_FAILED", NO, "give the certificate of its issuer in MLFLOW_TRACKING_SERVER_CERT_PATH"),
    Answer("INVALID_PARAMETER_VALUE|NOT_IMPLEMENTED", NO),
    Answer(
        "readonly database|unable to open database|no such (table|column)|malformed|is not a database"
        "|password authentication failed|permission denied for", NO, STORE,
    ),
    Answer(f"errno ({errno.EACCES}|{errno.EPERM}|{errno.EROFS}|{errno.ENOTDIR})$", NO, "this user may not write there"),
)  # fmt: skip
"""Whatever is in no row is AWAY: a connection that fails, a timeout, HTTP 5xx, a database that is locked or full."""


def answer(error: BaseException) -> Answer:
    """The row of an error of MLflow's client, of its artifact store or of a database."""
    code, text = getattr(error, "error_code", ""), str(error)
    status = getattr(getattr(error, "response", None), "status_code", None)  # the HTTP library's error, of an artifact
    found = re.search(r"failed with error code (\d{3})", text)  # of what is no MLflow, or stands before it
    asked = f"artifact HTTP {status}" if status else f"HTTP {found[1]}" if found else ""
    told = f"{code} {asked} {text} errno {getattr(error, 'errno', None)}"
    return next((row for row in ANSWERS if re.search(row.words, told)), Answer("", AWAY))


def explain(error: BaseException) -> str:
    """What an error says, in one line and without passwords, and who can mend it."""
    remedy = answer(error).remedy.format(user=user())
    return f"{first_line(error)}; {remedy}" if remedy else first_line(error)


def user() -> str:
    """The name that requests are made under, where the environment says it."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or "(the one in tracking.uri or ~/.mlflow/credentials)"


def deleted(experiment: str, experiment_id: str, uri: str) -> str:
    """What is said of an experiment that was deleted."""
    restore = f"MLFLOW_TRACKING_URI={shlex.quote(uri)} mlflow experiments restore --experiment-id {experiment_id}"
    return f"experiment {experiment} is deleted: restore it with `{restore}`, or give another experiment's name"


def absent(experiment: str, there: Sequence[str]) -> str:
    """What is said of an experiment that is not there; `there` are those that are."""
    return f"there is no experiment {experiment}; there are: {', '.join(sorted(there)) or 'none'}"
