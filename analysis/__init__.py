"""Reads finished runs back from MLflow and writes tables, figures and a report; no torch, and nothing of `bench`."""

import sys

if sys.argv[:1] == ["-m"]:  # a command begins; until it listens, Ctrl-C ends it without Python's traceback
    import _signal  # type: ignore[import-not-found]  # C; `signal` itself takes most of the time until then

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from analysis.interrupted import listen

listen()

from analysis.printing import replace_unprintable  # noqa: E402  # a Ctrl-C meanwhile is heard

replace_unprintable()
