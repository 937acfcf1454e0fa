"""What `python -m app` can do, one command a module: an exit code, and a sentence for what went wrong."""
