# SPDX-License-Identifier: BSL-1.0
"""aiohttp on asyncio's own loop."""
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).parents[1])  # not this folder: see its names
import aiohttp_session  # noqa: E402

aiohttp_session.run("aiohttp")
