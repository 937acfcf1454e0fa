"""The tables, one a module."""

from app.db.models.base import Base
from app.db.models.chat_log import ChatLog

__all__ = ["Base", "ChatLog"]
