"""All engines side by side, and what a mirror costs: build, sync, tail, disk, memory, growth."""
