"""The client of Groq: bytes and facts. It satisfies `chat.ports.Upstream` and knows no database."""
