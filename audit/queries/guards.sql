-- Guardrails that fired: how often, on how many symbols, and the newest record of each.
SELECT
    guard,
    count(*) AS fired,
    count(DISTINCT symbol) AS symbols,
    arg_max(partition || ':' || index, time) AS newest,
    max(time) AS newest_time,
    arg_max(reason, time) AS newest_reason
FROM (SELECT unnest(guards) AS guard, * EXCLUDE (guards) FROM records)
GROUP BY guard
ORDER BY fired DESC, guard;
