-- The views that every query here reads, over an export; views-archive.sql has the same views over an archive.
-- They need DuckDB >= 1.4 and nothing else:
--
--     cd EXPORT && duckdb -init .../audit/queries/views.sql < .../audit/queries/actions.sql
--
-- Variables: trail (the folder; default: the current one), since and until (only packages from then on, and before then;
-- times as ISO 8601, UTC without a zone), prices (per million tokens, as JSON by model:
-- {"MODEL": {"input": 0.4, "cached": 0.1, "output": 1.6}}), and what a query itself names.
-- A query reports what the files say. Whether they are unaltered is what `llmctx verify` and audit/verify.py say.

-- Every line of leaves.jsonl (records) and lost.jsonl (those that are lost, by index), in the order of the files.
CREATE OR REPLACE VIEW trail_lines AS
SELECT
    *,
    filename LIKE '%lost.jsonl' AS lost,
    regexp_extract(filename, '([0-9]+)[/\\][a-z]+\.jsonl$', 1)::INTEGER AS partition,
    row_number() OVER () AS n
FROM read_json(
    coalesce(getvariable('trail'), '.') || '/*/l*.jsonl',
    format = 'newline_delimited',
    filename = true,
    maximum_object_size = 67108864,
    columns = {
        index: 'BIGINT',
        kind: 'VARCHAR',
        symbol: 'VARCHAR',
        tick: 'VARCHAR',
        cause: 'VARCHAR',
        as_of_ms: 'BIGINT',
        recorded_at_ms: 'BIGINT',
        snapshot: 'STRUCT(sha256 VARCHAR, sections JSON)',
        prompt: 'STRUCT("template" VARCHAR, version BIGINT, sha256 VARCHAR)',
        request: 'STRUCT(model VARCHAR, endpoint VARCHAR)',
        completion: 'STRUCT(model VARCHAR, outcome VARCHAR, attempts JSON[],
            usage STRUCT(prompt BIGINT, cached BIGINT, cache_write BIGINT, completion BIGINT))',
        reasked: 'STRUCT(completion STRUCT(
            usage STRUCT(prompt BIGINT, cached BIGINT, cache_write BIGINT, completion BIGINT)))',
        decision: 'STRUCT(action VARCHAR, confidence VARCHAR)',
        grounding: 'STRUCT(cited BIGINT, uncited BIGINT, unread BIGINT, miscited JSON[], false_prices JSON[])',
        verdict: 'STRUCT(action VARCHAR, reason VARCHAR, quantity VARCHAR, repeat_of VARCHAR, guards STRUCT(name VARCHAR)[])',
        about: 'STRUCT("index" BIGINT)',
        effect: 'STRUCT(status VARCHAR, side VARCHAR, quantity VARCHAR, price VARCHAR, fee VARCHAR, order_id VARCHAR)',
        person: 'STRUCT("by" VARCHAR)',
        timings_ms: 'STRUCT(read VARCHAR, render VARCHAR, complete VARCHAR)'
    }
);

-- One row a record. Numbers that a leaf keeps as text are numbers here.
CREATE OR REPLACE VIEW records AS
WITH files AS (
    SELECT filename, min(n) AS first FROM trail_lines GROUP BY filename
),
losses AS (  -- the line before which each lost record would stand
    SELECT partition, list(index - (n - first)) AS lines
    FROM trail_lines JOIN files USING (filename)
    WHERE lost
    GROUP BY partition
)
SELECT
    partition,
    n - first + coalesce(len(list_filter(losses.lines, lambda line: line <= n - first)), 0) AS index,
    epoch_ms(as_of_ms) AS time,
    epoch_ms(recorded_at_ms) AS recorded,
    kind,
    symbol,
    tick,
    cause,
    decision.action AS decided,
    decision.confidence::DOUBLE AS confidence,
    verdict.action AS action,
    verdict.reason AS reason,
    list_transform(verdict.guards, lambda guard: guard.name) AS guards,
    prompt.template || '/v' || prompt.version AS template,
    coalesce(completion.model, request.model) AS model,
    request.model AS requested_model,
    completion.outcome AS outcome,
    len(completion.attempts) AS attempts,
    completion.usage.prompt + coalesce(reasked.completion.usage.prompt, 0) AS prompt_tokens,
    coalesce(completion.usage.cached, 0) + coalesce(reasked.completion.usage.cached, 0) AS cached_tokens,
    coalesce(completion.usage.cache_write, 0) + coalesce(reasked.completion.usage.cache_write, 0) AS cache_write_tokens,
    completion.usage.completion + coalesce(reasked.completion.usage.completion, 0) AS completion_tokens,
    timings_ms.read::DOUBLE AS read_ms,
    timings_ms.render::DOUBLE AS render_ms,
    timings_ms.complete::DOUBLE AS complete_ms,
    grounding.cited AS cited,
    grounding.uncited AS uncited,
    grounding.unread AS unread,
    coalesce(len(grounding.miscited), 0) AS miscited,
    coalesce(len(grounding.false_prices), 0) AS false_prices,
    verdict.quantity::DOUBLE AS wanted,
    verdict.repeat_of AS repeat_of,
    about.index AS about,
    effect.status AS status,
    effect.side AS side,
    effect.quantity::DOUBLE AS quantity,
    effect.price::DOUBLE AS fill_price,
    effect.fee::DOUBLE AS fee,
    effect.order_id AS order_id,
    person.by AS person,
    snapshot.sha256 AS snapshot_sha256,
    snapshot.sections AS sections
FROM trail_lines
JOIN files USING (filename)
LEFT JOIN losses USING (partition)
WHERE
    NOT lost
    AND (getvariable('since') IS NULL OR epoch_ms(as_of_ms) >= getvariable('since')::TIMESTAMP)
    AND (getvariable('until') IS NULL OR epoch_ms(as_of_ms) < getvariable('until')::TIMESTAMP);

-- What was shown, asked and answered, by index; NULL for a piece that a record does not have.
CREATE OR REPLACE VIEW evidence AS
SELECT
    regexp_extract(filename, '([0-9]+)[/\\][a-z]+\.jsonl$', 1)::INTEGER AS partition,
    index,
    pieces.snapshot AS snapshot,
    pieces.messages AS messages,
    pieces.completion AS completion
FROM read_json(
    coalesce(getvariable('trail'), '.') || '/*/evidence.jsonl',
    format = 'newline_delimited',
    filename = true,
    maximum_object_size = 134217728,
    columns = {index: 'BIGINT', pieces: 'STRUCT(snapshot VARCHAR, messages VARCHAR, completion VARCHAR)'}
);
