-- Decisions by day and action: what was published, how sure the model was, and how often a guardrail changed its action.
SELECT
    time::DATE AS day,
    action,
    count(*) AS records,
    round(avg(confidence), 3) AS mean_confidence,
    count(*) FILTER (decided IS NOT NULL AND decided <> action) AS changed_by_guards
FROM records
WHERE symbol IS NOT NULL AND tick IS NOT NULL
GROUP BY ALL
ORDER BY day, records DESC, action;
