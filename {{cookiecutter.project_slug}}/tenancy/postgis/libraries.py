"""Finds GDAL and GEOS, the system's libraries that GeoDjango loads."""

import ctypes
import os
from ctypes.util import find_library
from pathlib import Path

from tenancy.exceptions import MissingLibraries
from tenancy.postgres.programs import PACKAGES_OF_POSTGIS

LIBRARIES = {"GDAL": ("gdal", "GDAL"), "GEOS": ("geos_c", "GEOS")}
HOMEBREW = Path("/opt/homebrew/lib")  # only Homebrew's own Python looks there


def find() -> tuple[str, str]:
    """Return the paths of GDAL and GEOS, for GDAL_LIBRARY_PATH and GEOS_LIBRARY_PATH.

    Environment variables of these names come first. Raises MissingLibraries if a library, or one
    that it needs, such as PROJ, is missing.
    """
    paths = {name: locate(name, *spellings) for name, spellings in LIBRARIES.items()}
    problems = [problem(name, path) for name, path in paths.items()]
    if any(problems):
        raise MissingLibraries(
            f"This machine lacks libraries for geography ({'; '.join(filter(None, problems))}): "
            f"{PACKAGES_OF_POSTGIS}. With a DATABASE_URL=postgis://… on another machine, gdal-bin"
            " (gdal) is enough."
        )
    return paths["GDAL"], paths["GEOS"]


def locate(name: str, *spellings: str) -> str | None:
    homebrew = HOMEBREW / f"lib{spellings[0]}.dylib"
    return (
        os.environ.get(f"{name}_LIBRARY_PATH")
        or next(filter(None, map(find_library, spellings)), None)
        or (str(homebrew) if homebrew.exists() else None)
    )


def problem(name: str, path: str | None) -> str | None:
    if path is None:
        return f"no {name}"
    try:
        ctypes.CDLL(path)
    except OSError as error:
        return f"{name} can't be loaded: {error}"
    return None
