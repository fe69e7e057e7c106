"""From data to lists: run folders, serving, training, jobs and the command line."""
