"""What the service costs, beside nginx and beside itself without signals: `make bench`."""
