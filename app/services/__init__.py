"""What the service does: the chat service, and the client of the provider that it uses."""
