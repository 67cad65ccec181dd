"""For tests of prompts: a pytest plugin that puts recorded decisions to templates, without asking a model.

pytest loads `llmctx.testing.plugin` by itself where llmctx is installed. It loads nothing of llmctx until a test asks
for one of its fixtures. docs/prompts.md shows how it is used.
"""
