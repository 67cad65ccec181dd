-- What the market did after decisions, in favour of the position, by action and horizon, from the bars that followed.
-- Variables: bars, a list of CSV files as `llmctx feed` reads them; interval_s, a bar's length in seconds (60 if unset).
-- A bar is known at its end. Left out are horizons that the bars do not reach. `llmctx outcome` reports what following the
-- decisions would have earned.
WITH bars AS (
    SELECT symbol, timestamp + to_seconds(coalesce(getvariable('interval_s'), '60')::INTEGER) AS known, close
    FROM read_csv(
        getvariable('bars'),
        header = true,
        columns = {
            timestamp: 'TIMESTAMP',
            symbol: 'VARCHAR',
            open: 'DOUBLE',
            high: 'DOUBLE',
            low: 'DOUBLE',
            close: 'DOUBLE',
            volume: 'DOUBLE'
        }
    )
),
decided AS (
    SELECT
        symbol,
        action,
        time,
        ((evidence.snapshot::JSON ->> '$.sections.price')::JSON -> 'price' ->> 'last')::DOUBLE AS price,
        (evidence.snapshot::JSON ->> '$.sections.position')::JSON ->> 'side' AS side
    FROM records
    JOIN evidence USING (partition, index)
    WHERE records.kind IN ('decision', 'failed') AND records.snapshot_sha256 IS NOT NULL
),
wanted AS (
    SELECT *, time + to_minutes(horizon_min) AS until
    FROM decided, (SELECT unnest([5, 15, 60]) AS horizon_min)
    WHERE price IS NOT NULL AND side IS NOT NULL
),
followed AS (
    SELECT
        wanted.*,
        100 * CASE side WHEN 'short' THEN -1 ELSE 1 END * (bars.close - price) / price AS move_pct
    FROM wanted
    ASOF JOIN bars ON wanted.symbol = bars.symbol AND wanted.until >= bars.known
    WHERE bars.known > wanted.until - INTERVAL 2 MINUTE
)
SELECT
    action,
    horizon_min,
    count(*) AS records,
    round(avg(move_pct), 3) AS mean_move_pct,
    round(100 * avg((move_pct > 0)::INTEGER), 1) AS in_favour_pct
FROM followed
GROUP BY action, horizon_min
ORDER BY action, horizon_min;
