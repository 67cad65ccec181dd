-- What was shown about a symbol at a time: the newest record up to then, each section as it was read, and its age.
-- Variables: symbol; at, as ISO 8601 (UTC without a zone); without `at` the newest record is taken.
WITH chosen AS (
    SELECT *
    FROM records
    WHERE symbol = getvariable('symbol') AND snapshot_sha256 IS NOT NULL
        AND (getvariable('at') IS NULL OR time <= getvariable('at')::TIMESTAMP)
    ORDER BY time DESC, index DESC
    LIMIT 1
),
shown AS (
    SELECT chosen.*, unnest(json_keys(sections)) AS section
    FROM chosen
)
SELECT
    shown.partition || ':' || shown.index AS address,
    shown.time,
    shown.action,
    section,
    json_extract_string(sections, '$."' || section || '".status') AS status,
    json_extract_string(sections, '$."' || section || '".age_ms')::BIGINT AS age_ms,
    json_extract_string(evidence.snapshot::JSON, '$.sections."' || section || '"') AS value
FROM shown
LEFT JOIN evidence ON evidence.partition = shown.partition AND evidence.index = shown.index
ORDER BY section;
