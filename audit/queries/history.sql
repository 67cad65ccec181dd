-- What live history an archive has, by family and day: bars, fills, closed positions and days, market and performance.
SELECT family, time::DATE AS day, count(DISTINCT key) AS keys, count(*) AS entries, min(time) AS first, max(time) AS last
FROM history
GROUP BY ALL
ORDER BY family, day;
