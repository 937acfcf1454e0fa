"""The decoder, on streams that were mutated on their way. `make fuzz` does more of it."""

from hypothesis import given

from tests.fuzz.events import CUTS, STREAMS, means_the_same_however_cut


@given(STREAMS, CUTS)
def test_whatever_comes_is_relayed_in_whole_events_or_ends_with_an_error(stream: bytes, sizes: list[int]) -> None:
    """However it is cut: nothing is raised, nothing is made up, and what is held is bounded."""
    means_the_same_however_cut(stream, sizes)
