"""The test suite: `unit`, `contract`, `property`, `integration`, `api`, `cli`, `docs`."""
