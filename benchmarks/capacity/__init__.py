"""What Tidemark takes of memory, disk and processors, and how that grows: docs/capacity.md."""
