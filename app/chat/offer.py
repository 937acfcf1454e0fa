"""What this service offers: which models, and how long a conversation."""

from app.core.config import Settings
from app.core.errors import InvalidRequest, ModelNotFound
from app.schemas.chat import ChatRequest


def model_of(request: ChatRequest, settings: Settings) -> tuple[str, str]:
    """The model as the caller names it, and as Groq does. Raises ModelNotFound, or InvalidRequest."""
    if (count := len(request.messages)) > settings.max_messages:
        limit = settings.max_messages
        raise InvalidRequest(f"messages: {count} are more than {limit}; leave the oldest ones out", param="messages")
    requested = request.model or settings.groq_default_model
    if not settings.serves(requested):
        message = f"The model `{requested}` does not exist or you do not have access to it."
        raise ModelNotFound(message, param="model")
    return requested, settings.groq_model(requested)
