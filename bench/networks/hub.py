"""The hub that timm's weights lie on, and its local cache: asked once, with a deadline."""

import re
import threading
import time
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfFileMetadata
from huggingface_hub.errors import HfHubHTTPError

HUB_FILE = "model.safetensors"

DEADLINE = 3.0
"""Seconds to wait for the hub's first answer, name resolution included, which the client's own timeout leaves out. The
hub is asked once, as its client's retries take close to a minute a file."""

MEMORY = 60.0
"""Seconds for which a hub that did not answer is not asked again: the cells of a sweep then fail one after the other
without waiting, and a long sweep is not lost to one bad minute."""


SHA256 = re.compile(r"[0-9a-f]{64}")
"""The ETag of a large file; of a small one it is another digest."""
_DIGESTS: dict[str, str] = {}


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


def digest(name: str) -> str:
    """The hub's SHA-256 of these weights, which stay there; empty where it cannot be had."""
    if name not in _DIGESTS and problem(name) is None:
        answer = _ask(name)
        if not isinstance(answer, Exception) and SHA256.fullmatch(answer.etag or ""):
            _DIGESTS[name] = str(answer.etag)
    return _DIGESTS.get(name, "")


def problem(name: str) -> str | None:
    """Why the hub cannot give these weights, in a few words and within seconds; None where it can."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if time.monotonic() - _Down.since < MEMORY:
        return _Down.reason
    answer = _ask(name)
    if isinstance(answer, HfHubHTTPError):
        return f"the hub answers {answer.response.status_code} for timm/{name}"
    if isinstance(answer, Exception):
        _Down.since, _Down.reason = time.monotonic(), f"the hub cannot be reached ({answer})"
        return _Down.reason
    return None


def _ask(name: str) -> HfFileMetadata | Exception:
    """What the hub says of the file; or what asking fails with."""
    url = huggingface_hub.hf_hub_url(f"timm/{name}", HUB_FILE)
    outcome: list[HfFileMetadata | Exception] = []

    def ask() -> None:
        try:
            outcome.append(huggingface_hub.get_hf_file_metadata(url, timeout=DEADLINE))
        except Exception as error:  # noqa: BLE001  # the client raises its HTTP library's own errors, which it has changed before
            outcome.append(error)

    asking = threading.Thread(target=ask, daemon=True)  # a resolver that hangs cannot be stopped, only left behind
    asking.start()
    asking.join(DEADLINE)
    return outcome[0] if outcome else TimeoutError(f"no answer in {DEADLINE:g} seconds")
