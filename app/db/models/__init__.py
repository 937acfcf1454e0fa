"""Models, one table per module."""

from app.db.base import Base
from app.db.models.chat_log import ChatLog

__all__ = ["Base", "ChatLog"]
