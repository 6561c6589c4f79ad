"""Frames in, frames out: the questions that are asked of the runs, one a file."""
