"""Ctrl-C ends a command with status 130 and without a traceback, at whatever moment and however often it is pressed."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

STATUS = 128 + signal.SIGINT
"""What a shell expects of a command that SIGINT ended."""


class _State:
    """Of this process: whether a KeyboardInterrupt would be caught, and how often Ctrl-C was pressed."""

    caught = False
    pressed = 0


def listen() -> None:
    """Takes SIGINT, where `python -m` begins a command: imports take seconds, and nothing is lost in them."""
    if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, stop)


def stop(_number: int, _frame: FrameType | None) -> None:
    """The signal handler: the first Ctrl-C lets what was begun be tidied up; the next ends the process at once.

    Raises:
        KeyboardInterrupt: the first one, while a command works.
    """
    _State.pressed += 1
    if _State.caught and _State.pressed == 1:
        raise KeyboardInterrupt
    leave()


def leave() -> NoReturn:
    """Ends the process, whatever it is doing; what a killed process leaves is gone on from, here as there."""
    os.write(2, b"stopped\n")
    os._exit(STATUS)


def run_command(main: Callable[[], int]) -> NoReturn:
    """Exits with what `main` returns, or with STATUS where Ctrl-C ended it."""
    _State.caught = True
    try:
        status = main()
    except KeyboardInterrupt:
        _State.caught = False
        sys.stderr.write("stopped\n")
        status = STATUS
    _State.caught = False
    if status == STATUS:  # an interpreter that ends gives up its handlers, and the next one would kill it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
