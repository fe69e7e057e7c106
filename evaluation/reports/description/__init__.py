"""What tables hold, before anything is trained."""
