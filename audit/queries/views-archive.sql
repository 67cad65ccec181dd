-- The same views as in views.sql, over the Parquet files of an archive. They need DuckDB >= 1.4 and nothing else:
--
--     cd ARCHIVE && duckdb -init .../audit/queries/views-archive.sql < .../audit/queries/actions.sql
--
-- A query reports what the typed columns say. Only index, leaf, proof and the pieces of evidence are proven by the
-- checkpoints; the typed columns can be computed again from the leaves.

-- One row a record. Lost records, of which an archive has the leaf hash alone, are left out.
CREATE OR REPLACE VIEW records AS
SELECT
    regexp_extract(filename, '([0-9]+)[/\\][^/\\]+\.parquet$', 1)::INTEGER AS partition,
    index,
    epoch_ms(epoch_ms(time)) AS time,
    epoch_ms(epoch_ms(recorded)) AS recorded,
    * EXCLUDE (filename, index, time, recorded, leaf, proof, snapshot, messages, completion, "foreign", leaf_hash)
        REPLACE (
            coalesce(cached_tokens, 0) AS cached_tokens,
            coalesce(cache_write_tokens, 0) AS cache_write_tokens
        ),
    json_extract_string(decode(leaf), '$.verdict.quantity')::DOUBLE AS wanted,
    json_extract_string(decode(leaf), '$.verdict.repeat_of') AS repeat_of,
    json_extract(decode(leaf), '$.about.index')::BIGINT AS about,
    json_extract_string(decode(leaf), '$.effect.status') AS status,
    json_extract_string(decode(leaf), '$.effect.side') AS side,
    json_extract_string(decode(leaf), '$.effect.quantity')::DOUBLE AS quantity,
    json_extract_string(decode(leaf), '$.effect.price')::DOUBLE AS fill_price,
    json_extract_string(decode(leaf), '$.effect.fee')::DOUBLE AS fee,
    json_extract_string(decode(leaf), '$.effect.order_id') AS order_id,
    json_extract_string(decode(leaf), '$.person.by') AS person,
    json_extract_string(decode(leaf), '$.snapshot.sha256') AS snapshot_sha256,
    json_extract(decode(leaf), '$.snapshot.sections') AS sections
FROM read_parquet(coalesce(getvariable('trail'), '.') || '/[0-9]*/*.parquet', filename = true)
WHERE
    kind IS NOT NULL
    AND (getvariable('since') IS NULL OR epoch_ms(epoch_ms(time)) >= getvariable('since')::TIMESTAMP)
    AND (getvariable('until') IS NULL OR epoch_ms(epoch_ms(time)) < getvariable('until')::TIMESTAMP);

-- What was shown, asked and answered, by index; NULL for a piece that a record does not have.
CREATE OR REPLACE VIEW evidence AS
SELECT
    regexp_extract(filename, '([0-9]+)[/\\][^/\\]+\.parquet$', 1)::INTEGER AS partition,
    index,
    decode(snapshot) AS snapshot,
    decode(messages) AS messages,
    decode(completion) AS completion
FROM read_parquet(coalesce(getvariable('trail'), '.') || '/[0-9]*/*.parquet', filename = true);
