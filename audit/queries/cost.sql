-- Tokens and cost by model and template; cost is empty for models that have no price in the variable `prices`.
WITH priced AS (
    SELECT
        *,
        coalesce(getvariable('prices')::JSON -> model, getvariable('prices')::JSON -> requested_model) AS price,
        (price ->> 'input')::DOUBLE AS input_price,
        coalesce(price ->> 'cached', price ->> 'input')::DOUBLE AS cached_price,
        coalesce(price ->> 'cache_write', price ->> 'input')::DOUBLE AS cache_write_price,
        (price ->> 'output')::DOUBLE AS output_price
    FROM records
    WHERE prompt_tokens IS NOT NULL
)
SELECT
    model,
    template,
    count(*) AS records,
    sum(prompt_tokens)::BIGINT AS prompt_tokens,
    sum(cached_tokens)::BIGINT AS cached_tokens,
    sum(completion_tokens)::BIGINT AS completion_tokens,
    round(
        sum(
            (prompt_tokens - cached_tokens - cache_write_tokens) * input_price
            + cached_tokens * cached_price
            + cache_write_tokens * cache_write_price
            + completion_tokens * output_price
        ) / 1e6,
        6
    ) AS cost
FROM priced
GROUP BY model, template
ORDER BY cost DESC NULLS LAST, prompt_tokens DESC, model, template;
