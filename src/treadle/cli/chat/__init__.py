"""The OpenAI chat format: conversations as JSON Lines, read into threads and written back."""
