"""Values and locks that threads share, in processes that may fork; and what the machine gives such a process."""
