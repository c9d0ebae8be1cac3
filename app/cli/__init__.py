"""The `tidemark` command: one module a topic, each a thin layer over what the API uses too."""
