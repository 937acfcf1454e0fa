"""The client of Groq: bytes and facts. It satisfies `services.chat.ports.Upstream` and knows no database."""
