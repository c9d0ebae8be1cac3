"""One module a question: a frozen spec with all its rules, and the type of its rows."""
