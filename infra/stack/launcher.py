"""Starts one process of the stack so that it can't outlive its supervisor; run as a script, never imported.

    python -I -S launcher.py SUPERVISOR_PID PROGRAM ARGUMENT...

It asks the kernel for SIGKILL on its parent's death (prctl PR_SET_PDEATHSIG, kept across exec), then becomes PROGRAM. The
signal comes when the *thread* that started it ends, so the supervisor starts all its processes from one thread that lives
as long as itself.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the request above took effect
        sys.exit("the supervisor is gone")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
