-- Who approved, overrode or annotated which record, and why.
SELECT
    recorded,
    kind,
    partition || ':' || about AS address,
    symbol,
    person,
    reason
FROM records
WHERE kind IN ('approval', 'override', 'annotation')
ORDER BY recorded;
