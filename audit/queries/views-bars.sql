-- The bars of outcomes.sql, from CSV files as `llmctx feed` reads them; views-history.sql has those of an archive.
-- Variables: bars, a list of files; interval_s, a bar's length in seconds (60 if unset).

-- The closing price of each bar, from when it was known: its end.
CREATE OR REPLACE VIEW bars AS
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
);
