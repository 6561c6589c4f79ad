"""The hub that timm's weights lie on, and its local cache: asked once, with a deadline."""

import threading
import time
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError

HUB_FILE = "model.safetensors"

DEADLINE = 3.0
"""Seconds to wait for the hub's first answer, name resolution included, which the client's own timeout leaves out. The
hub is asked once, as its client's retries take close to a minute a file."""

MEMORY = 60.0
"""Seconds for which a hub that did not answer is not asked again: the cells of a sweep then fail one after the other
without waiting, and a long sweep is not lost to one bad minute."""


class _Down:
    """When the hub last failed to answer, and why."""

    since = -MEMORY
    reason = ""


def cached(name: str) -> Path | None:
    """The weight file of that name in the local cache."""
    found = huggingface_hub.try_to_load_from_cache(f"timm/{name}", HUB_FILE)
    return Path(found) if isinstance(found, str) else None


def download(name: str, *, again: bool = False) -> Path:
    """The weight file of that name, brought into the local cache; `again` replaces the one that is there."""
    return Path(huggingface_hub.hf_hub_download(f"timm/{name}", HUB_FILE, force_download=again))


def problem(name: str) -> str | None:
    """Why the hub cannot give these weights, in a few words and within seconds; None where it can."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if time.monotonic() - _Down.since < MEMORY:
        return _Down.reason
    answer = _ask(name)
    if isinstance(answer, HfHubHTTPError):
        return f"the hub answers {answer.response.status_code} for timm/{name}"
    if answer is not None:
        _Down.since, _Down.reason = time.monotonic(), f"the hub cannot be reached ({answer})"
        return _Down.reason
    return None


def _ask(name: str) -> Exception | None:
    """What the hub's answer fails with; None where the file is there."""
    url = huggingface_hub.hf_hub_url(f"timm/{name}", HUB_FILE)
    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            huggingface_hub.get_hf_file_metadata(url, timeout=DEADLINE)
            outcome.append(None)
        except Exception as error:  # noqa: BLE001  # the client raises its HTTP library's own errors, which it has changed before
            outcome.append(error)

    asking = threading.Thread(target=ask, daemon=True)  # a resolver that hangs cannot be stopped, only left behind
    asking.start()
    asking.join(DEADLINE)
    return outcome[0] if outcome else TimeoutError(f"no answer in {DEADLINE:g} seconds")
