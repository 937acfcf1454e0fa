"""What clients may send, in OpenAI's field names."""
