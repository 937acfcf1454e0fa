"""The page at `/`: a chat in a browser, and what happened to it. Its own files alone, and no build step."""
