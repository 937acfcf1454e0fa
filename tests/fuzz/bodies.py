"""JSON of any shape, for the schema of a request."""

from typing import Any

from hypothesis import strategies as st

from app.core.errors import InvalidRequest
from app.schemas.chat import ChatRequest
from tests.support.bodies import as_objects, parsed

_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=20))
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=10), inner, max_size=5)),
    max_leaves=20,
)
_MESSAGE = st.fixed_dictionaries(
    {"role": st.one_of(st.sampled_from(["system", "user", "assistant", "tool"]), JSON)}, optional={"content": JSON}
)
REQUESTS = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {"messages": st.one_of(st.lists(_MESSAGE, max_size=4), JSON)},
        optional={name: JSON for name in ChatRequest.model_fields if name != "messages"} | {"x": JSON},
    ),
)


def check_request(body: Any) -> None:
    """Raises unless the body is refused with InvalidRequest, or accepted and relayed unchanged."""
    try:
        request = parsed(body, ChatRequest)
    except InvalidRequest:
        return
    assert as_objects(request.body) == body
    assert isinstance(request.prompt(), str)
