"""Who may do what: projects and their API keys (users and sessions join them here)."""
