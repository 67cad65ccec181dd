-- What became of decisions, and every fill that no decision asked for.
-- One row for each effect of a decision that asks for something, one where none was reported, and one for each effect
-- without a decision; with the price that the decision knew, and how much worse it was filled. An exit that was decided
-- again is one order. `finding` says what does not agree, as `llmctx reconcile` does: no effect after five minutes, no
-- decision, another quantity than was asked for, a price that is more than 100 basis points worse.
WITH decided AS (
    SELECT
        partition,
        index,
        time,
        recorded,
        symbol,
        action,
        reason,
        ((evidence.snapshot::JSON ->> '$.sections.price')::JSON -> 'price' ->> 'last')::DOUBLE AS known_price,
        CASE action
            WHEN 'exit' THEN ((evidence.snapshot::JSON ->> '$.sections.position')::JSON ->> 'quantity')::DOUBLE
            ELSE wanted
        END AS wanted
    FROM records
    LEFT JOIN evidence USING (partition, index)
    WHERE
        records.tick IS NOT NULL
        AND records.action IN ('exit', 'reduce', 'add', 'adjust_stops')
        AND records.repeat_of IS NULL
),
said AS (
    SELECT * FROM records WHERE kind = 'effect'
),
both_sides AS (
    SELECT
        coalesce(decided.partition, said.partition) || ':' || coalesce(decided.index, said.index) AS address,
        coalesce(said.time, decided.time) AS time,
        coalesce(decided.symbol, said.symbol) AS symbol,
        coalesce(decided.action, 'none') AS action,
        coalesce(said.status, 'nothing reported') AS status,
        said.side,
        decided.wanted,
        said.quantity,
        said.fill_price,
        known_price,
        (said.fill_price / known_price - 1) * 10000 * CASE said.side WHEN 'buy' THEN 1 ELSE -1 END AS slippage,
        said.fee,
        said.order_id,
        coalesce(decided.reason, said.reason) AS reason,
        sum(CASE WHEN said.fill_price IS NOT NULL THEN said.quantity END) OVER (
            PARTITION BY decided.partition, decided.index
        ) AS filled,
        decided.recorded < (SELECT max(recorded) FROM records) - INTERVAL 5 MINUTE AS is_due
    FROM decided
    FULL JOIN said ON said.partition = decided.partition AND said.about = decided.index
)
SELECT
    address,
    time,
    symbol,
    action,
    status,
    side,
    wanted,
    quantity,
    fill_price,
    known_price,
    round(slippage, 1) AS slippage_bps,
    fee,
    order_id,
    reason,
    CASE
        WHEN action = 'none' THEN 'no decision'
        WHEN status = 'nothing reported' AND is_due THEN 'no effect'
        WHEN filled > wanted + 0.000001 OR (status = 'filled' AND filled < wanted - 0.000001) THEN 'quantity'
        WHEN slippage > 100 THEN 'price'
    END AS finding
FROM both_sides
ORDER BY time, address;
