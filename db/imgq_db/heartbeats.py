"""How long a worker may be silent, for whoever looks at it; it beats every few seconds."""

#: A worker that missed three beats is not waited for.
LIVE_SECONDS = 15
#: A worker that was not seen for so long is gone.
GONE_SECONDS = 60
