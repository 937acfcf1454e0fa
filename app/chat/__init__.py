"""The story of one chat. It states what it needs from others (`ports.py`) and imports none of them."""
