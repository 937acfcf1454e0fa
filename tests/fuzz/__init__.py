"""Inputs that nobody thought of, in any number: `make fuzz` runs many, `make test` a few of the same.

described.py  requests made from the API's own description, by schemathesis
raw.py        requests in raw bytes, mutated
events.py     streams as Groq sends them, mutated, for the parser
greedy.py     one caller that takes all it can get, and what another one notices of it
bodies.py     JSON of any shape, for the schema of a request
target.py     the service, with a simulated Groq behind it
tally.py      what came of it
"""
