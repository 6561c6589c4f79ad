"""Reads finished runs back from MLflow and writes tables, figures and a report; no torch, and nothing of `bench`."""

from analysis.interrupted import listen
from analysis.printing import replace_unprintable

listen()
replace_unprintable()
