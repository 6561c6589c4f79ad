"""Reads finished runs back from MLflow and writes tables, figures and a report; no torch, and nothing of `bench`."""

from analysis.interrupted import listen

listen()

from analysis.printing import replace_unprintable  # noqa: E402  # a Ctrl-C meanwhile is heard

replace_unprintable()
