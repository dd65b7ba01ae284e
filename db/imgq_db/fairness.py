"""Who goes first: the order of jobs in every claim."""

#: A waiting job moves up one priority after so long, so that nothing starves.
AGING_SECONDS = 600

#: SQL over `job j`: high before normal before low, old jobs a little higher.
JOB_ORDER = (
    "greatest(j.priority - floor(extract(epoch FROM (SELECT imgq_now()) - j.created_at)"
    f" / {AGING_SECONDS}), 0)"
)
