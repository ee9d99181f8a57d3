"""Optional packages, imported by the function that needs them, and a network that may not be there."""

import contextlib
import importlib
import socket
import threading
import urllib.parse
import urllib.request
from types import ModuleType


class MissingExtra(ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


def need(module: str, extra: str) -> ModuleType:
    """Imports ``module``, which the extra ``extra`` installs.

    Raises:
      MissingExtra: the package is not installed. An error inside an installed package is passed on as it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not error.name or not f"{module}.".startswith(f"{error.name}."):
            raise
        message = f"this needs {error.name}, which is not installed: pip install 'convzoo[{extra}]'"
        raise MissingExtra(message, name=error.name) from error


def reachable(url: str, seconds: float = 3.0) -> bool:
    """Whether the host of ``url``, or the proxy that leads to it, takes a connection within ``seconds``.

    Libraries that download try again and again where there is no network; asking first takes seconds. The asking is
    done in a thread of its own, because looking up a name knows no time limit.
    """
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    answered: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=seconds):
            answered.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answered)
