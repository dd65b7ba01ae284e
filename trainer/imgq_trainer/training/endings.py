"""How a training's process ends, besides 0 when it is done and 1 when it failed. Imports nothing
that takes long."""

import signal

#: SIGTERM ended it, after a checkpoint
STOPPED = 128 + signal.SIGTERM
#: one of several processes lost another one; which one died first, the launcher knows
LOST = 75
