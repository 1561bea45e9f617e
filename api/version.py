"""The version that is installed, as the package's metadata has it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("strayframe")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0+unknown"


VERSION = _installed()
