-- How the price moved after decisions, in favour of the position, by action and horizon, from the prices of later records.
-- Left out are records whose symbol has no record within two minutes before the horizon, as after a closed position;
-- outcomes.sql takes the prices from bars. Needs views-moves.sql.
WITH seen AS (
    SELECT DISTINCT symbol, time, price FROM horizons
),
followed AS (
    SELECT horizons.*, 100 * sign * (later.price - horizons.price) / horizons.price AS move_pct
    FROM horizons
    ASOF JOIN seen AS later ON horizons.symbol = later.symbol AND horizons.until >= later.time
    WHERE later.time >= horizons.until - INTERVAL 2 MINUTE
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
