"""The trading actors: one a file, its messages on top. They receive, call a pure function, carry out the result."""
