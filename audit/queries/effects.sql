-- What became of decisions, and every fill that no decision asked for.
-- One row for each effect of a decision that asks for something, one where none was reported, and one for each effect
-- without a decision; with the price that the decision knew.
-- `llmctx reconcile` says what of it does not agree.
WITH decided AS (
    SELECT
        partition,
        index,
        time,
        symbol,
        action,
        reason,
        ((evidence.snapshot::JSON ->> '$.sections.price')::JSON -> 'price' ->> 'last')::DOUBLE AS known_price
    FROM records
    LEFT JOIN evidence USING (partition, index)
    WHERE records.tick IS NOT NULL AND records.action IN ('exit', 'reduce', 'add', 'adjust_stops')
),
said AS (
    SELECT * FROM records WHERE kind = 'effect'
)
SELECT
    coalesce(decided.partition, said.partition) || ':' || coalesce(decided.index, said.index) AS address,
    coalesce(said.time, decided.time) AS time,
    coalesce(decided.symbol, said.symbol) AS symbol,
    coalesce(decided.action, 'none') AS action,
    coalesce(said.status, 'nothing reported') AS status,
    said.side,
    said.quantity,
    said.fill_price,
    known_price,
    said.fee,
    said.order_id,
    coalesce(decided.reason, said.reason) AS reason
FROM decided
FULL JOIN said ON said.partition = decided.partition AND said.about = decided.index
ORDER BY time, address;
