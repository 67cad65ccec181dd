-- What moves.sql and outcomes.sql share: the price that each record was about, and when one asks what became of it.
-- They read these after views.sql or views-archive.sql:
--
--     cat views.sql views-moves.sql moves.sql | duckdb        in EXPORT, with the path of audit/queries before each
-- outcomes.sql needs bars as well: views-bars.sql, or views-history.sql over an archive.

-- A record, the price of its symbol as it was shown, and a time at which to look at the price again; sign is -1 where the
-- position is short.
CREATE OR REPLACE VIEW horizons AS
WITH shown AS (
    SELECT
        records.*,
        (evidence.snapshot::JSON ->> '$.sections.price')::JSON -> 'price' AS quote,
        (evidence.snapshot::JSON ->> '$.sections.position')::JSON ->> 'side' AS side
    FROM (SELECT partition, index, kind, symbol, action, time FROM records WHERE snapshot_sha256 IS NOT NULL) AS records
    JOIN evidence USING (partition, index)
)
SELECT
    partition,
    index,
    kind,
    symbol,
    action,
    time,
    (quote ->> 'last')::DOUBLE AS price,
    CASE side WHEN 'short' THEN -1 ELSE 1 END AS sign,
    horizon_min,
    time + to_minutes(horizon_min) AS until
FROM shown, (SELECT unnest([5, 15, 60]) AS horizon_min)
WHERE quote IS NOT NULL AND side IS NOT NULL;
