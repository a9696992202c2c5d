"""The console in a real browser: what people do there, on a phone's width and on a desk's."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from streams.console.actions import Repair
from streams.embedded.stack import StackInfo
from streams.settings import Endpoints, load_settings
from streams.topics import ensure_topics
from tests.projections.conftest import copy_of
from tests.streams.console.pictures import picture, troubled
from tests.streams.console.serving import Served, free_port, served
from tests.streams.console.test_reads import add_letter
from tests.streams.tape import MARKET, add_fill, add_row, add_trade, execute

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: install it with `apt-get install chromium`"
)

Theme = Literal["light", "dark"]
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
_ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
_HEIGHT = 800
#: Milliseconds; a machine that runs other tests beside takes its time.
expect.set_options(timeout=30_000)
_MARKUP = b'{"note": "<img src=x onerror=alert(1)><script>alert(2)</script>"}'
_VIEWS = {
    "Overview": "From venues to tables",
    "Lag": "Consumer groups",
    "Trades": "Live profit of 1: +1.20 before fees",
    "Account": "Available cash 95.00",
    "Prices": "BTC-USD at coinbase: 65,000.10",
    "Book": "● valid",
    "Dead letters": "1 wait",
    "Rebuilds": "prices, generation 4",
    "System": "PostgreSQL",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def filled(stack: StackInfo, migrated_template: str) -> Iterator[str]:
    """A database with a little of everything that pages show."""
    now = datetime.now(UTC)
    fact = {"origin": "native", "topic": "kalshi.account", "partition": 0, "offset": 1}
    with copy_of(stack, migrated_template) as dsn:
        add_trade(dsn, "TICKET-1", buy_price=Decimal("0.50"), asked_at=now, opened_at=now)
        add_fill(dsn, "F1", "TICKET-1", count=Decimal(10), price=Decimal("0.50"))
        closed = {"id": 2, "status": "closed", "pnl": Decimal("-0.35"), "win_loss": "L"}
        add_trade(dsn, "TICKET-2", **closed)
        quote = {"yes_bid": Decimal("0.62"), "yes_ask": Decimal("0.64"), "time": now}
        add_row(dsn, "market_quotes", venue="kalshi", ticker=MARKET, received=now, **quote)
        add_row(dsn, "markets", venue="kalshi", ticker=MARKET, closes=now + timedelta(hours=1))
        execute(
            dsn,
            """insert into market_book_state
            (venue, ticker, connection, opened, sid, seq, time, received, yes, no) values
            ('kalshi', %s, 'c', now(), 1, 1, now(), now(), '{"0.62": "10"}', '{"0.36": "5"}')""",
            MARKET,
        )
        cash = {"balance": Decimal(95), "exact": True, "received": now}
        add_row(dsn, "balances", account="kalshi/prod/main/0", time=now, **cash, **fact)
        price = {"price": Decimal("65000.10"), "time": now, "received": now, "trade_id": "1"}
        add_row(dsn, "latest_price", venue="coinbase", symbol="BTC-USD", **price)
        for second in range(3):
            bar = dict.fromkeys(("open", "high", "low", "close"), Decimal(65_000 + second))
            add_row(
                dsn,
                "price_seconds",
                venue="coinbase",
                symbol="BTC-USD",
                second=now.replace(microsecond=0) - timedelta(seconds=second),
                first_time=now,
                first_trade_id="1",
                volume=Decimal(1),
                trades=1,
                **bar,
            )
        add_letter(dsn, 1, _MARKUP)
        yield dsn


@pytest.fixture
def console(filled: str) -> Iterator[Served]:
    with served(picture(), filled) as running:
        yield running


@contextmanager
def opened(
    browser: Browser,
    console: Served,
    width: int = 1280,
    theme: Theme = "light",
    path: str = "",
    expected: str = "",
) -> Iterator[Page]:
    """A page that asks no other host for anything, and has nothing but this to complain of."""
    context = browser.new_context(
        viewport={"width": width, "height": _HEIGHT}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    complaints: list[str] = []
    hosts: set[str | None] = set()
    page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(console.url + path)
    yield page
    context.close()
    assert [one for one in complaints if not expected or expected not in one] == []
    assert hosts == {urlsplit(console.url).netloc}


def is_live(page: Page) -> None:
    expect(page.locator("#connection-text")).to_contain_text("live")


def is_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def does_not_overflow(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize(("width", "theme"), [(360, "dark"), (1280, "light")])
def test_every_view_shows_what_it_is_for(
    browser: Browser, console: Served, width: int, theme: Theme
) -> None:
    with opened(browser, console, width, theme) as page:
        is_live(page)
        for name, text in _VIEWS.items():
            page.get_by_role("link", name=name, exact=True).click()
            expect(page.locator("main")).to_contain_text(text)
            expect(page.locator("main .trouble:visible")).to_have_count(0)
            assert does_not_overflow(page), name
            is_accessible(page)
            if name in {"Lag", "Prices"}:
                expect(page.locator("main canvas").first).to_be_visible()


@pytest.mark.parametrize(("width", "theme"), [(360, "light"), (1280, "dark")])
def test_trouble_is_told_at_a_glance(
    browser: Browser, console: Served, width: int, theme: Theme
) -> None:
    with opened(browser, console, width, theme) as page:
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text("All is fresh, nothing is behind")
        console.show(troubled(1))
        expect(heading).to_have_text("kraken: connected, no frame for 41 s")
        expect(page.locator(".headline")).to_contain_text("since")
        told = page.locator("#announcement")
        expect(told).to_have_text("critical: kraken: connected, no frame for 41 s")
        expect(page.locator(".incidents")).to_contain_text("marks of 3 active trades stale")
        expect(page.locator(".board")).to_contain_text("■ stale")
        expect(page.locator(".flows")).to_contain_text("4,000 records, 1 min 20 s behind")
        expect(page).to_have_title(re.compile("critical"))
        is_accessible(page)
        page.goto(f"{console.url}#/dead-letters/price.ticks/0/1")
        expect(page.locator("pre").first).to_contain_text("<script>alert(2)</script>")
        is_accessible(page)
        console.show(picture(2))
        expect(told).to_have_text("All is fresh, nothing is behind.")


def test_a_trade_is_looked_up_by_keyboard_alone(browser: Browser, console: Served) -> None:
    with opened(browser, console) as page:
        is_live(page)
        page.keyboard.press("Tab")
        expect(page.locator("#skip")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.locator("#skip").focus()
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "Trades":
                break
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Trades")
        expect(page.locator("main")).to_be_focused()
        # Whichever of the two tables comes first: the upper one's link is the next to be focused.
        active = page.get_by_role("table", name="Active trades")
        expect(active.get_by_role("link", name=MARKET)).to_be_visible()
        page.keyboard.press("Tab")
        expect(active.get_by_role("link", name=MARKET)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_contain_text("What the log says")
        expect(page.locator("main")).to_contain_text("10 yes of 10")


def test_a_theme_is_chosen_and_kept(browser: Browser, console: Served) -> None:
    with opened(browser, console) as page:
        is_live(page)
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        button = page.get_by_role("button", name="Theme")
        button.click()
        button.click()
        expect(button).to_contain_text("dark")
        dark = page.evaluate(background)
        assert dark != light
        page.reload()
        assert page.evaluate(background) == dark


def test_a_page_goes_on_by_itself_after_the_server_was_started_again(browser: Browser) -> None:
    port = free_port()
    context = browser.new_context()
    page = context.new_page()
    with served(picture(), port=port) as console:
        page.goto(console.url)
        is_live(page)
        page.evaluate("window.isTheSame = true")
    said = page.locator("#connection-text")
    expect(said).to_contain_text("reconnecting, values of ")
    expect(page.locator(".figures")).to_contain_text("Arriving")
    with served(troubled(9), port=port):
        is_live(page)
        expect(page.get_by_role("heading", level=1)).to_contain_text("kraken")
        assert page.evaluate("window.isTheSame")
    context.close()


def test_a_hidden_tab_has_no_stream(browser: Browser, console: Served) -> None:
    with opened(browser, console) as page:
        is_live(page)
        await_pages(console, 1)
        turn(page, hidden=True)
        expect(page.locator("#connection-text")).to_contain_text("paused")
        await_pages(console, 0)
        turn(page, hidden=False)
        is_live(page)
        await_pages(console, 1)


def await_pages(console: Served, count: int) -> None:
    """Wait until so many pages have a stream."""
    deadline = time.monotonic() + 30
    while console.pages != count:
        assert time.monotonic() < deadline, f"{console.pages} pages have a stream, not {count}"
        time.sleep(0.01)


def turn(page: Page, *, hidden: bool) -> None:
    """Have the page believe that its tab is hidden; a headless browser hides none."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_the_first_load_is_small_and_brings_no_chart_library(
    browser: Browser, console: Served
) -> None:
    context = browser.new_context()
    page = context.new_page()
    sizes: dict[str, int] = {}

    def finished(event: dict[str, Any]) -> None:
        sizes[event["requestId"]] = event["encodedDataLength"]

    network = context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", finished)
    paths: list[str] = []
    page.on("request", lambda request: paths.append(urlsplit(request.url).path))
    page.goto(console.url)
    is_live(page)
    context.close()
    assert len(paths) <= 12
    assert not any("vendor" in path for path in paths)
    assert sum(sizes.values()) < 60_000


def test_while_the_database_is_away_pages_keep_what_they_had(
    browser: Browser, console: Served
) -> None:
    told = "the server responded with a status of 503"  # by the browser itself
    with opened(browser, console, path="#/trades", expected=told) as page:
        expect(page.locator("main")).to_contain_text("Live profit of 1")
        away = {"title": "Service Unavailable", "status": 503, "detail": "the database: away"}
        page.route("**/api/active-trades", lambda route: route.fulfill(status=503, json=away))
        trouble = page.locator(".trouble").first
        expect(trouble).to_contain_text("the database: away. These are the values of")
        expect(page.locator("main")).to_contain_text("Live profit of 1")
        page.unroute("**/api/active-trades")
        expect(trouble).to_be_hidden()


def test_a_dead_letter_is_discarded_with_a_reason(
    browser: Browser, filled: str, stack: StackInfo, tmp_path: Path
) -> None:
    endpoints = Endpoints(stack.brokers, {}, filled, True, True)
    ensure_topics(endpoints)
    add_letter(filled, 7, b"\xff\x00")
    repair = Repair(endpoints, load_settings(home=tmp_path, operator="ann"))
    with (
        served(picture(), filled, repair) as console,
        opened(browser, console, path="#/dead-letters/price.ticks/0/7") as page,
    ):
        expect(page.locator("pre").first).to_have_text("/wA=")
        page.get_by_role("button", name="Discard").click()  # it is not done without a reason
        page.get_by_label("Why").fill("a record made by hand")
        page.get_by_role("button", name="Discard").click()
        expect(page.get_by_role("status")).to_have_text("● Discarded; its bytes are kept.")
        expect(page.locator("main")).to_contain_text("discarded, ")


def test_a_list_that_was_made_longer_stays_whole_while_rows_come(
    browser: Browser, console: Served, filled: str
) -> None:
    asked = datetime(2025, 8, 1, tzinfo=UTC)
    for number in range(60):
        columns = {"account": "kalshi/demo/main/0", "status": "error"}
        minute = asked + timedelta(minutes=number)
        add_trade(filled, f"E-{number:02}", id=100 + number, asked_at=minute, **columns)
    with opened(browser, console, path="#/trades") as page:
        page.get_by_label("Status").select_option("error")
        rows = page.locator("tbody tr", has_text="E-")
        expect(rows).to_have_count(50)
        page.get_by_role("button", name="Show more").click()
        expect(rows).to_have_count(60)
        add_trade(filled, "E-60", id=160, asked_at=asked + timedelta(hours=1), **columns)
        turn(page, hidden=False)  # who comes back to a page sees the newest
        expect(rows).to_have_count(61)
        shown = [re.search(r"E-\d\d", text) for text in rows.all_text_contents()]
        assert [one[0] for one in shown if one] == [
            f"E-{number:02}" for number in range(60, -1, -1)
        ]
