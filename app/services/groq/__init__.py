"""The parts of GroqClient, which satisfies `services.chat.ports.Upstream`."""
