"""Runs a program on a terminal of its own, 240 characters wide, and copies what it shows to standard output. SIGTERM presses Ctrl-C there."""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios

child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 240, 0, 0))
signal.signal(signal.SIGTERM, lambda *_: os.write(terminal, b"\x03"))
while True:
    try:
        shown = os.read(terminal, 4096)
    except OSError:  # the program has ended
        break
    if not shown:
        break
    os.write(1, shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
