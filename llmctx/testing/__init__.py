"""Test prompts with pytest: a plugin that runs templates on recorded decisions without asking a model.

pytest loads `llmctx.testing.plugin` on its own once llmctx is installed. The plugin loads the rest of llmctx only when
a test requests one of its fixtures. docs/prompts.md shows how to use it.
"""
