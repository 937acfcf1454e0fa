"""How the service is served: uvicorn, in one process or as gunicorn's workers, and how it stops."""
