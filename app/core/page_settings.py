"""The settings of what people see in a browser."""

from pydantic_settings import BaseSettings

from app.core.setting_types import HttpUrl


class PageSettings(BaseSettings):
    """Part of the Settings, which stand in config.py."""

    api_docs: bool | None = None
    """Whether `/docs` and `/openapi.json` are there; by default, in development alone."""
    page: bool | None = None
    """Whether there is a page at `/`; by default, in development alone."""
    page_trace_url: HttpUrl | None = None
    """Where the page sends people to see a trace: `{trace_id}` and `{id}` are filled in."""
    page_row_url: HttpUrl | None = None
    """Where it sends them to see a row, in the same way."""
