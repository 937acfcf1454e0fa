"""HTTP: parse, hand over, render. No business logic lives here."""
