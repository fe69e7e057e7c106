"""What a trained run knows and does."""
