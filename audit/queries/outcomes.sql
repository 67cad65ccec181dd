-- What the market did after decisions, in favour of the position, by action and horizon, from the bars that followed.
-- The bars are those in CSV files (views-bars.sql) or in an archive (views-history.sql). A bar is known at its end. Left out
-- are horizons that the bars do not reach. `llmctx outcome` reports what following the decisions would have earned. Needs
-- views-moves.sql.
WITH followed AS (
    SELECT horizons.*, 100 * sign * (bars.close - price) / price AS move_pct
    FROM horizons
    ASOF JOIN bars ON horizons.symbol = bars.symbol AND horizons.until >= bars.known
    WHERE horizons.kind IN ('decision', 'failed') AND bars.known > horizons.until - INTERVAL 2 MINUTE
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
