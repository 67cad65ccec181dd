-- The twenty records that took longest, and what became of their calls.
SELECT
    partition || ':' || index AS address,
    time,
    symbol,
    round(coalesce(read_ms, 0) + coalesce(render_ms, 0) + coalesce(complete_ms, 0), 1) AS total_ms,
    complete_ms,
    attempts,
    outcome,
    action
FROM records
WHERE complete_ms IS NOT NULL
ORDER BY total_ms DESC, partition, index
LIMIT 20;
