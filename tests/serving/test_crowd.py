"""Who has to go first when all places are taken."""

from hospital.serving.crowd import SILENT_S, SLOW_S, Crowd


class Client:
    """A connection as far as a crowd looks at it."""

    def __init__(self, place: dict["Client", None], since: float, deadline: float = 100.0) -> None:
        self.since = since
        self.deadline = deadline
        place[self] = None


def test_the_order_in_which_they_go() -> None:
    """Who is done, then who never said a word, then who is kept, then who is slow; oldest first."""
    crowd = Crowd()
    slow, kept, kept_later = Client(crowd.begun, 0), Client(crowd.kept, 0), Client(crowd.kept, 1)
    silent, done = Client(crowd.fresh, 5), Client(crowd.leaving, 9)
    order = []

    while (first := crowd.who_goes_first(10.0)) is not None:
        order.append(first)
        for place in (crowd.leaving, crowd.fresh, crowd.kept, crowd.begun):
            place.pop(first, None)

    assert [done, silent, kept, kept_later, slow] == order


def test_who_is_being_answered_stays() -> None:
    """There is no place to be had from them, nor from who waits for a turn."""
    crowd = Crowd()
    Client(crowd.busy, 0)
    Client(crowd.queued, 0)

    assert crowd.who_goes_first(1e9) is None


def test_a_head_has_a_moment_to_arrive() -> None:
    """Only one that takes its time makes room."""
    crowd = Crowd()
    begun = Client(crowd.begun, 10.0)

    assert crowd.who_goes_first(10.0 + SLOW_S / 2) is None
    assert begun is crowd.who_goes_first(10.0 + SLOW_S)


def test_a_new_connection_has_a_moment_to_speak() -> None:
    """Its request may be about to be sent: rather somebody goes who was kept."""
    crowd = Crowd()
    fresh = Client(crowd.fresh, 10.0)

    assert crowd.who_goes_first(10.0 + SILENT_S / 2) is None
    assert fresh is crowd.who_goes_first(10.0 + SILENT_S)
    kept = Client(crowd.kept, 10.0)
    assert kept is crowd.who_goes_first(10.0 + SILENT_S / 2)


def test_the_late_are_found_wherever_they_are() -> None:
    """And nobody else; they may leave while they are gone through."""
    crowd = Crowd()
    places = (crowd.fresh, crowd.kept, crowd.begun, crowd.queued, crowd.busy, crowd.leaving)
    late = [Client(place, 0, deadline=1.0) for place in places]
    for place in places:
        Client(place, 0, deadline=3.0)

    found = []
    for each in crowd.late(2.0):
        found.append(each)
        for place in places:
            place.pop(each, None)

    assert late == found
    assert len(places) == len(crowd)


def test_how_many_requests_are_in_flight() -> None:
    """Those that have begun to arrive count, idle connections do not."""
    crowd = Crowd()
    for place in (crowd.fresh, crowd.kept, crowd.leaving):
        Client(place, 0)
    Client(crowd.begun, 0)
    Client(crowd.queued, 0)
    Client(crowd.busy, 0)

    assert 3 == crowd.answering
    assert 6 == len(crowd)
