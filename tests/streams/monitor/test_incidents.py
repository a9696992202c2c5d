"""One incident for one cause; opened once, kept while it flickers, closed when it is quiet."""

from streams.monitor.incidents import Action, Book, causes_of
from streams.monitor.model import Level
from streams.monitor.symptoms import Symptom
from tests.streams.monitor.pictures import NOW, SECOND

FEED = Symptom("feed/coinbase", Level.WARNING, NOW - 41 * SECOND, "coinbase: no frame for 41 s")
PRICE = Symptom(
    "venue/coinbase",
    Level.CRITICAL,
    NOW - 41 * SECOND,
    "coinbase:BTC-USD: newest event 41 s old",
    causes=("broker", "feed/coinbase", "projection/prices"),
)
MARKS = Symptom(
    "marks/a",
    Level.CRITICAL,
    NOW,
    "marks of 3 active trades stale",
    causes=("broker", "venue/coinbase", "projection/market"),
)
BROKER = Symptom("broker", Level.CRITICAL, NOW, "the broker does not answer")


def after(seconds: float) -> int:
    return NOW + int(seconds * SECOND)


def test_what_follows_from_a_cause_belongs_to_its_incident() -> None:
    assert causes_of([MARKS, PRICE, FEED]) == {"feed/coinbase": [FEED, PRICE, MARKS]}


def test_without_its_cause_a_symptom_stands_for_itself() -> None:
    assert causes_of([MARKS]) == {"marks/a": [MARKS]}
    assert set(causes_of([FEED, BROKER])) == {"broker", "feed/coinbase"}


def test_the_first_of_the_causes_that_are_there_explains_it() -> None:
    assert set(causes_of([PRICE, FEED, BROKER])) == {"broker", "feed/coinbase"}
    assert causes_of([PRICE, FEED, BROKER])["broker"] == [BROKER, PRICE]


def test_causes_in_a_circle_end() -> None:
    one = Symptom("a", Level.WARNING, NOW, "a", causes=("b",))
    other = Symptom("b", Level.WARNING, NOW, "b", causes=("a",))
    assert len(causes_of([one, other])) >= 1


def test_an_incident_is_opened_once_with_all_its_symptoms_and_what_is_well() -> None:
    book = Book()
    facts = {"projection/prices": "prices: no lag", "projection/account": "account: no lag"}
    [change] = book.take([FEED, PRICE, MARKS], facts, NOW)
    assert change.action == Action.OPENED
    assert change.incident.title == FEED.text
    assert list(change.incident.symptoms) == [FEED.text, PRICE.text, MARKS.text, "prices: no lag"]
    assert change.incident.level == Level.CRITICAL
    assert change.incident.opened == FEED.since
    assert book.take([FEED, PRICE, MARKS], facts, after(2)) == []
    assert len(book.open) == 1


def test_it_is_closed_after_a_quiet_time_as_of_when_it_was_last_seen() -> None:
    book = Book()
    book.take([FEED], {}, NOW)
    assert book.take([], {}, after(14.9)) == []
    [change] = book.take([], {}, after(15))
    assert (change.action, change.incident.closed) == (Action.CLOSED, NOW)
    assert book.open == []


def test_what_is_not_seen_now_says_since_when_and_when_it_is_over() -> None:
    book = Book()
    book.take([FEED], {}, NOW)
    book.take([], {}, after(2))
    [kept] = book.open
    assert kept.symptoms == (
        FEED.text,
        "not seen since 00:53:20: over, if not again for 15 s",
    )
    book.take([FEED], {}, after(4))
    assert [one.symptoms for one in book.open] == [(FEED.text,)]


def test_what_flickers_stays_one_open_incident() -> None:
    book = Book()
    changes = [
        change
        for second in range(0, 120, 2)
        for change in book.take([FEED] if second % 10 == 0 else [], {}, after(second))
    ]
    assert [change.action for change in changes] == [Action.OPENED]


def test_what_comes_back_soon_is_the_same_incident_and_needs_a_longer_quiet() -> None:
    book = Book()
    [opened] = book.take([FEED], {}, NOW)
    book.take([], {}, after(20))
    [again] = book.take([FEED], {}, after(30))
    assert (again.action, again.incident.id) == (Action.OPENED, opened.incident.id)
    assert again.incident.closed is None
    assert book.take([], {}, after(59)) == []
    [closed] = book.take([], {}, after(60))
    assert closed.action == Action.CLOSED


def test_what_comes_back_late_is_another_incident() -> None:
    book = Book()
    [opened] = book.take([FEED], {}, NOW)
    book.take([], {}, after(20))
    book.take([], {}, after(700))
    [again] = book.take([FEED], {}, after(702))
    assert again.incident.id != opened.incident.id


def test_it_is_told_again_when_it_gets_worse_and_not_when_it_gets_better() -> None:
    book = Book()
    book.take([FEED], {}, NOW)
    [worse] = book.take([FEED, PRICE], {}, after(2))
    assert (worse.action, worse.is_news) == (Action.CHANGED, True)
    assert book.take([FEED], {}, after(4)) == []
    assert book.take([FEED, PRICE], {}, after(6)) == []


def test_that_it_goes_on_is_recorded_now_and_then_and_is_no_news() -> None:
    book = Book()
    book.take([FEED], {}, NOW)
    other = Symptom(FEED.node, FEED.level, FEED.since, "coinbase: no frame for 6 min")
    assert book.take([other], {}, after(299)) == []
    [change] = book.take([other], {}, after(300))
    assert (change.action, change.is_news) == (Action.CHANGED, False)


def test_a_symptom_with_patience_counts_once_it_has_lasted() -> None:
    def look(second: float) -> list[Symptom]:
        text = "a: 1 fill"  # nobody knows since when: so since this look
        return [Symptom("account/a", Level.WARNING, after(second), text, patience_s=60.0)]

    book = Book()
    assert book.take(look(0), {}, NOW) == []
    assert book.take(look(59), {}, after(59)) == []
    assert book.take([], {}, after(59.5)) == []
    assert book.take(look(61), {}, after(61)) == []
    [change] = book.take(look(121), {}, after(121))
    assert change.action == Action.OPENED


def test_what_has_lasted_before_the_first_look_counts_at_once() -> None:
    patient = Symptom("feed/a", Level.WARNING, after(-10), "a: connecting", patience_s=5.0)
    assert len(Book().take([patient], {}, NOW)) == 1


def test_a_single_look_has_no_time_for_patience() -> None:
    patient = Symptom("account/a", Level.WARNING, NOW, "a: 1 fill", patience_s=60.0)
    assert len(Book(is_patient=False).take([patient], {}, NOW)) == 1


def test_a_book_goes_on_with_what_another_has_left_open() -> None:
    [opened] = Book().take([FEED], {}, NOW)
    book = Book([opened.incident], after(100))
    assert book.take([FEED], {}, after(100)) == []
    [closed] = book.take([], {}, after(115))
    assert closed.incident.id == opened.incident.id
