"""Reads finished runs back from MLflow and writes tables, figures and a report; no torch, and nothing of `bench`."""

from analysis.printing import replace_unprintable

replace_unprintable()
