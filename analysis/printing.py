"""What is printed ends nothing: no character that a terminal lacks, and no terminal that is gone."""

import io
import sys
from contextlib import suppress
from typing import IO, Any, cast


def replace_unprintable() -> None:
    """From now on in this process, stdout and stderr print `?` for what their encoding has no character for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


class Forgiving(io.TextIOBase):
    """stdout as it is at that moment; what cannot be written (a full disk, a closed pipe or terminal) is let go.

    For what is printed beside a training, which must not end by it.
    """

    @property
    def _stream(self) -> Any:
        return getattr(sys.stdout, "rich_proxied_file", sys.stdout)  # rich stands in for stdout while a bar is shown

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute of the base, which never changes
        """Of stdout."""
        return str(self._stream.encoding)

    def isatty(self) -> bool:
        """Whether stdout is a terminal."""
        with suppress(OSError, ValueError):
            return bool(self._stream.isatty())
        return False

    def write(self, text: str, /) -> int:
        """Writes what can be written."""
        with suppress(OSError, ValueError):  # ValueError: closed, or a character that it lacks
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        with suppress(OSError, ValueError):
            self._stream.flush()


FORGIVING = cast("IO[str]", Forgiving())
"""The same for whoever asks for a file."""
