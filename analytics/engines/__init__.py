"""The engines that answer questions, one module each, and the one rule which of them does."""
