"""The page at `/`: a chat in a browser and its measurements. Static files without a build step."""
