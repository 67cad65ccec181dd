-- Decisions whose action differs between two replays, or between a replay and the record, by the pair of actions.
-- Variables: results, a list of results files of `llmctx replay`: the last two are compared, or a single one with the record.
-- Without an answer the position is held. `llmctx compare` names the cause of each flip.
WITH lines AS (
    SELECT *, row_number() OVER () AS n
    FROM read_json(
        getvariable('results'),
        format = 'newline_delimited',
        filename = true,
        maximum_object_size = 67108864,
        columns = {
            result: 'STRUCT(origin VARCHAR, partition BIGINT, index BIGINT, repeat BIGINT, symbol VARCHAR,
                recorded STRUCT(verdict STRUCT(action VARCHAR)), replayed STRUCT(verdict STRUCT(action VARCHAR)))'
        }
    )
    WHERE result IS NOT NULL
),
answers AS (  -- the last answer counts, where a call was made again
    SELECT
        list_position(getvariable('results'), filename) AS side,
        unnest(result, max_depth := 1)
    FROM lines
    QUALIFY row_number() OVER (
        PARTITION BY filename, result.origin, result.partition, result.index, result.repeat ORDER BY n DESC
    ) = 1
),
sides AS (
    SELECT side, origin, partition, index, repeat, symbol, replayed.verdict.action AS action FROM answers
    UNION ALL
    SELECT 0, origin, partition, index, repeat, symbol, recorded.verdict.action FROM answers WHERE side = 1
),
pairs AS (
    SELECT
        first.partition || ':' || first.index AS address,
        first.symbol,
        CASE first.action WHEN 'none' THEN 'hold' ELSE first.action END AS before,
        CASE second.action WHEN 'none' THEN 'hold' ELSE second.action END AS after
    FROM sides AS first
    JOIN sides AS second USING (origin, partition, index, repeat)
    WHERE first.side = len(getvariable('results')) - 1 AND second.side = len(getvariable('results'))
)
SELECT
    before,
    after,
    count(*) AS answers,
    round(100 * count(*) / (SELECT count(*) FROM pairs), 1) AS of_all_pct,
    count(DISTINCT symbol) AS symbols,
    min_by(address, (length(address), address)) AS first_address
FROM pairs
WHERE before <> after
GROUP BY before, after
ORDER BY answers DESC, before, after;
