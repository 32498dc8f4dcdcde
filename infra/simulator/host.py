"""Figures of the host, for heartbeats: from /proc and the file system. Linux only, like the figures' names."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

KIB = 1024
FRESH_SECONDS = 1.0


class Host:
    """Reads the host's figures; processor time is measured from one call of `figures` to the next."""

    def __init__(self, proc: Path = Path("/proc"), disk: str = "/") -> None:
        self._proc, self._disk = proc, disk
        self._ticks = (0, 0, 0)
        self._newest: tuple[float, dict[str, Any]] | None = None

    def recent(self) -> dict[str, Any]:
        """The figures, as they were a second ago at most."""
        now = time.monotonic()
        if self._newest is None or now - self._newest[0] > FRESH_SECONDS:
            self._newest = (now, self.figures())
        return self._newest[1]

    def figures(self) -> dict[str, Any]:
        """memory_usage, cpu_usage and disk_usage as a heartbeat holds them."""
        return {"memory_usage": self._memory(), "cpu_usage": self._cpu(), "disk_usage": self._storage()}

    def _memory(self) -> dict[str, int]:
        lines = (line.split() for line in (self._proc / "meminfo").read_text("ascii").splitlines())
        sizes = {line[0].rstrip(":"): int(line[1]) * KIB for line in lines}
        free, cached = sizes["MemFree"], sizes["Cached"] + sizes["Buffers"]
        used = max(0, sizes["MemTotal"] - free - cached)
        return {"total": sizes["MemTotal"], "used": used, "free": free, "cached": cached}

    def _cpu(self) -> dict[str, Any]:
        # user, nice, system, idle, iowait, irq, softirq, steal (proc(5))
        counted = [int(text) for text in (self._proc / "stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
        ticks = (counted[0] + counted[1], sum(counted[2:3] + counted[5:8]), counted[3] + counted[4])
        user, system, idle = (max(0, new - old) for new, old in zip(ticks, self._ticks, strict=True))
        self._ticks = ticks
        whole = (user + system + idle) or 1
        return {
            "user": round(100.0 * user / whole, 2),
            "system": round(100.0 * system / whole, 2),
            "idle": round(100.0 * idle / whole, 2),
            "load_average": [float(load) for load in os.getloadavg()],
        }

    def _storage(self) -> dict[str, int]:
        usage = shutil.disk_usage(self._disk)
        return {"total": usage.total, "used": usage.used, "free": usage.free}
