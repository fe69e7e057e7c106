"""Values and locks of objects that threads share, in processes that may fork."""
