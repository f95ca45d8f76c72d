"""What tests need and not every machine has: packages and programs."""

import importlib
import os
import shutil

import pytest

ALL_MUST_RUN = os.environ.get("BLUR_TESTS") == "all"


def needed(package):
    """The module; without it the test is skipped, or fails where BLUR_TESTS=all wants every one."""
    if ALL_MUST_RUN:
        return importlib.import_module(package)
    return pytest.importorskip(package)


def needed_program(name):
    """Where the program is; the same without it."""
    found = shutil.which(name)
    if not found and ALL_MUST_RUN:
        pytest.fail(f"BLUR_TESTS=all wants the program {name}, which is not installed")
    return found or pytest.skip(f"the program {name} is not installed")
