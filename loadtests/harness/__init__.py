"""What chaos, the leak test and locust share. `answer` runs in locust's container, which has no other libraries."""
