"""Groq over the openai SDK: bytes and facts. It satisfies `chat.ports.Upstream` and knows no database."""
