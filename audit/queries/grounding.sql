-- Grounding by model and template: how many numbers were cited, and how many records have a wrong citation or price.
SELECT
    model,
    template,
    count(*) AS answers,
    sum(cited)::BIGINT AS cited,
    sum(uncited)::BIGINT AS uncited,
    sum(unread)::BIGINT AS unread,
    sum(miscited)::BIGINT AS miscited,
    sum(false_prices)::BIGINT AS false_prices,
    count(*) FILTER (miscited > 0 OR false_prices > 0) AS faulty_answers,
    round(100 * sum(cited) / nullif(sum(cited + uncited), 0), 1) AS cited_pct
FROM records
WHERE cited IS NOT NULL
GROUP BY model, template
ORDER BY answers DESC, model, template;
