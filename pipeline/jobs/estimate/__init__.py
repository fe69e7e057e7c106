"""What work would take, before hours are spent."""
