"""Marks tests that need a C++ compiler: where there is none they are skipped, which CI does not allow."""

from __future__ import annotations

import os
import shutil

import pytest

COMPILER = shutil.which(os.environ.get("CXX", "g++"))
NEEDS_COMPILER = [
    pytest.mark.compiler,
    pytest.mark.skipif(COMPILER is None, reason="no C++ compiler; run: apt-get install g++"),
]
