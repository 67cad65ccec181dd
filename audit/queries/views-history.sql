-- Live history that `llmctx archive --history` has put into an archive: read it after views-archive.sql. It is no part of
-- the trail, and nothing proves it.

-- One row an entry: its family (bars, fills, closed, days, values), key, id, time, and its fields as text by name.
CREATE OR REPLACE VIEW history AS
SELECT
    regexp_extract(filename, 'history[/\\]([a-z]+)[/\\]', 1) AS family,
    key,
    id,
    epoch_ms(epoch_ms(time)) AS time,
    map(map_keys(fields), list_transform(map_values(fields), lambda value: try(decode(value)))) AS fields
FROM read_parquet(coalesce(getvariable('trail'), '.') || '/history/*/*.parquet', filename = true)
WHERE
    (getvariable('since') IS NULL OR epoch_ms(epoch_ms(time)) >= getvariable('since')::TIMESTAMP)
    AND (getvariable('until') IS NULL OR epoch_ms(epoch_ms(time)) < getvariable('until')::TIMESTAMP);

-- Bars by their start.
CREATE OR REPLACE VIEW archived_bars AS
SELECT
    substr(key, length('stocks:bars:') + 1) AS symbol,
    time,
    try_cast(fields['open'] AS DOUBLE) AS open,
    try_cast(fields['high'] AS DOUBLE) AS high,
    try_cast(fields['low'] AS DOUBLE) AS low,
    try_cast(fields['close'] AS DOUBLE) AS close,
    try_cast(fields['volume'] AS DOUBLE) AS volume
FROM history
WHERE family = 'bars';

-- What the paper broker filled.
CREATE OR REPLACE VIEW fills AS
SELECT
    try_cast(fields['at'] AS TIMESTAMP) AS time,
    fields['symbol'] AS symbol,
    fields['side'] AS side,
    try_cast(fields['quantity'] AS DOUBLE) AS quantity,
    try_cast(fields['price'] AS DOUBLE) AS price,
    try_cast(fields['cost'] AS DOUBLE) AS cost,
    try_cast(fields['realized'] AS DOUBLE) AS realized,
    fields['reason'] AS reason
FROM history
WHERE family = 'fills';

-- metrics:performance and context:market as they stood when each day's history was archived.
CREATE OR REPLACE VIEW live_values AS
SELECT key, time, fields['value']::JSON AS value
FROM history
WHERE family = 'values';

-- The bars of outcomes.sql: the closing price of each, from when it was known. Variable: interval_s, a bar's length in
-- seconds (60 if unset).
CREATE OR REPLACE VIEW bars AS
SELECT symbol, time + to_seconds(coalesce(getvariable('interval_s'), '60')::INTEGER) AS known, close
FROM archived_bars;
