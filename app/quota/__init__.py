"""How much each caller may ask for. It satisfies `api.state.Quota` and `chat.ports.Meter`.

quota.py       what a caller is told at the door, and what becomes of a chat's tokens
ledger.py      the counts: requests and tokens of a minute by the `limits` library, streams at once
places.py      streams at once, of one worker
leases.py      streams at once, of all workers, in Redis
one_trip.py    a client of Redis for which many commands are one round trip
limit.py       how long a round trip may take
access.py      what to do while Redis is away
opening.py     puts them together, in memory or in Redis
"""
