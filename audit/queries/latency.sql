-- Latency of each step in milliseconds, by model: median, 95th and 99th percentile, and the longest.
WITH steps AS (
    UNPIVOT (SELECT model, read_ms, render_ms, complete_ms FROM records)
    ON read_ms, render_ms, complete_ms INTO NAME step VALUE ms
)
SELECT
    replace(step, '_ms', '') AS step,
    model,
    count(*) AS records,
    round(quantile_cont(ms, 0.5), 1) AS p50_ms,
    round(quantile_cont(ms, 0.95), 1) AS p95_ms,
    round(quantile_cont(ms, 0.99), 1) AS p99_ms,
    round(max(ms), 1) AS max_ms
FROM steps
GROUP BY step, model
ORDER BY step, model;
