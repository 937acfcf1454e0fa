"""What an operator sees. Everyone may call the probe; nothing here imports the rooms that do."""
