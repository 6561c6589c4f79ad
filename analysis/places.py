"""Where things lie: in the checkout, or of an installed package in it and in the folder that a command is typed in."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
CHECKOUT = _PACKAGE.parent if (_PACKAGE.parent / "conf" / "config.yaml").is_file() else None
"""None where the package was installed from a wheel."""
PROJECT = CHECKOUT or Path.cwd()
"""What relative paths are relative to."""
CONF = (CHECKOUT or _PACKAGE) / "conf"
SWEEPS = (CHECKOUT or _PACKAGE) / "sweeps"
