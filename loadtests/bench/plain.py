"""The shape that everyone writes: the SDK's typed objects, one per token, made into JSON again."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

app = FastAPI()
client = AsyncOpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY


class Question(BaseModel):
    model: str
    messages: list[dict[str, Any]]


@app.post("/chat")
async def chat(question: Question) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        messages: Any = question.messages
        stream = await client.chat.completions.create(model=question.model, messages=messages, stream=True)
        async for chunk in stream:
            yield f"data: {chunk.model_dump_json()}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
