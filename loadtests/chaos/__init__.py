"""Everything fails under load, and every receipt is compared with the rows at the end: `make chaos`."""
