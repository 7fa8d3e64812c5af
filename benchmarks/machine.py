"""What was measured on."""

import os
import platform
import re
from pathlib import Path


def described():
    """Its processor, cores, memory and system, in a line."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.+)", info.read_text(), re.M) if info.exists() else None
    processor = named[1] if named else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB memory, {platform.system()}"
