"""What stands still in a job, as queries that count it: work that is over and that nobody ended."""

#: A reconciler mends within seconds what died. What is left after so long, nobody mends.
STANDSTILL_SECONDS = 600
_LONG_AGO = f"(SELECT imgq_now()) - interval '{STANDSTILL_SECONDS} seconds'"

#: Of jobs of any kind.
STANDSTILLS = {
    "no claim is over for long that nobody has freed": f"""
        SELECT (SELECT count(*) FROM chunk WHERE job_id = :id AND state = 'leased'
            AND lease_until < {_LONG_AGO})
        + (SELECT count(*) FROM training WHERE job_id = :id AND state = 'leased'
            AND lease_until < {_LONG_AGO})""",
    "no job is done for long that nobody has closed": f"""
        SELECT count(*) FROM job j WHERE j.id = :id AND j.state = 'running'
        AND j.listed_at < {_LONG_AGO}
        AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.job_id = j.id
            AND (c.state IN ('pending', 'leased') OR c.done_at > {_LONG_AGO}))""",
}
