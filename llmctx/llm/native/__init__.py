"""The protocols of providers beside OpenAI's chat completions: where they are posted to, how asked and how read."""
