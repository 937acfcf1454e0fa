"""What the tests stand on: real servers, started by the tests themselves."""
