"""Where events come from: one format after the other into raw Arrow columns, no value judged."""
