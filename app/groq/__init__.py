"""Groq, as the openai SDK asks it: bytes and facts. It satisfies `chat.ports.Upstream` and knows no database."""
