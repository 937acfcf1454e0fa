"""Generated and mutated inputs: `make fuzz` sends thousands, `make test` a few.

openapi.py         requests that schemathesis generates from the API's OpenAPI document
raw_http.py        mutated bytes of HTTP requests
sse.py             mutated streams of the provider, for the SSE decoder
bodies.py          JSON of any shape, for the schema of a request
noisy_neighbor.py  one client that takes as much as it can get, and the latency of another one
target.py          the service with a simulated provider
tally.py           the results and their table
"""
