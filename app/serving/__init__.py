"""Serving: uvicorn in one process or as gunicorn's workers, its limits, checks before the start, and the drain."""
