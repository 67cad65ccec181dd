-- How the price moved after decisions, in favour of the position, by action and horizon, from the prices of later records.
-- Left out are records whose symbol has no record within two minutes before the horizon, as after a closed position;
-- outcomes.sql takes the prices from bars.
WITH priced AS (
    SELECT
        symbol,
        action,
        time,
        (evidence.snapshot::JSON ->> '$.sections.price')::JSON -> 'price' AS price,
        (evidence.snapshot::JSON ->> '$.sections.position')::JSON ->> 'side' AS side
    FROM records
    JOIN evidence USING (partition, index)
    WHERE records.snapshot_sha256 IS NOT NULL
),
seen AS (
    SELECT symbol, action, time, (price ->> 'last')::DOUBLE AS price, CASE side WHEN 'short' THEN -1 ELSE 1 END AS sign
    FROM priced
    WHERE price IS NOT NULL AND side IS NOT NULL
),
wanted AS (
    SELECT *, time + to_minutes(horizon_min) AS until
    FROM seen, (SELECT unnest([5, 15, 60]) AS horizon_min)
),
followed AS (
    SELECT wanted.*, 100 * wanted.sign * (later.price - wanted.price) / wanted.price AS move_pct
    FROM wanted
    ASOF JOIN seen AS later ON wanted.symbol = later.symbol AND wanted.until >= later.time
    WHERE later.time >= wanted.until - INTERVAL 2 MINUTE
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
