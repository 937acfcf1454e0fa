"""Upper bounds of the buckets of histograms."""

# In seconds. The threshold of an objective is always a bucket: 1 s to the first token, 20 ms per output token.
TTFT = (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20)
PER_TOKEN = (0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1)
WHOLE_CHAT = (0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300)
STALL = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
OVERHEAD = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)  # the GenAI conventions', up to the longest context
