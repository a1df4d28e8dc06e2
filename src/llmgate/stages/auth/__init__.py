"""Auth providers: who asks."""
