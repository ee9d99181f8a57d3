"""Optional packages, imported by the function that needs them."""

import importlib
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
