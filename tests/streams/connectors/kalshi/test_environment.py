"""Production and demo: where they are, and that they are not mixed up."""

import os
from pathlib import Path

import pytest

from streams.connectors.kalshi.environment import Environment, environment
from streams.errors import UserError
from streams.settings import Settings

PROD, DEMO = "kalshi/prod/main/0", "kalshi/demo/main/0"
LOOPBACK = {
    "kalshi_rest_url": "http://127.0.0.1:8000/trade-api/v2",
    "kalshi_websocket_url": "ws://127.0.0.1:8000/trade-api/ws/v2",
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("TAPE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def of(account: str, **urls: str) -> Environment:
    return environment(Settings.model_validate({"account": account, **urls}))


def test_the_account_s_mode_says_which() -> None:
    assert of(PROD) == Environment(
        "prod",
        "https://external-api.kalshi.com/trade-api/v2",
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
    )
    assert of(DEMO) == Environment(
        "demo",
        "https://external-api.demo.kalshi.co/trade-api/v2",
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
    )


@pytest.mark.parametrize("account", [PROD, DEMO, "simulated/prod/main/0"])
def test_addresses_that_are_set_go_before(account: str) -> None:
    found = of(account, **LOOPBACK)
    assert (found.rest, found.websocket) == tuple(LOOPBACK.values())
    assert found.mode == account.split("/")[1]


def test_one_address_may_be_set_alone() -> None:
    url = "https://demo-api.kalshi.co/trade-api/v2"
    assert of(DEMO, kalshi_rest_url=url) == Environment("demo", url, of(DEMO).websocket)


@pytest.mark.parametrize(
    ("account", "host", "of_mode"),
    [
        (PROD, "external-api.demo.kalshi.co", "demo"),
        (PROD, "demo-api.kalshi.co", "demo"),
        (PROD, "DEMO-API.KALSHI.CO.", "demo"),
        (DEMO, "external-api.kalshi.com", "prod"),
        (DEMO, "api.elections.kalshi.com", "prod"),
        (DEMO, "external-api.kalshi.com:443", "prod"),
    ],
)
@pytest.mark.parametrize(
    ("field", "scheme"), [("kalshi_rest_url", "https"), ("kalshi_websocket_url", "wss")]
)
def test_a_host_of_the_other_environment_is_refused(
    account: str, host: str, of_mode: str, field: str, scheme: str
) -> None:
    with pytest.raises(UserError, match=f"of {of_mode}, but TAPE_ACCOUNT is {account}") as refused:
        of(account, **{field: f"{scheme}://{host}/trade-api/v2"})
    assert str(refused.value).startswith(f"TAPE_{field.upper()} has the host ")


def test_kalshi_is_not_talked_to_without_encryption() -> None:
    with pytest.raises(UserError, match="TAPE_KALSHI_REST_URL .* without encryption"):
        of(PROD, kalshi_rest_url="http://external-api.kalshi.com/trade-api/v2")
    with pytest.raises(UserError, match="TAPE_KALSHI_WEBSOCKET_URL .* without encryption"):
        of(DEMO, kalshi_websocket_url="ws://demo-api.kalshi.co/trade-api/ws/v2")


@pytest.mark.parametrize("left_out", LOOPBACK)
def test_an_account_of_another_venue_is_never_looked_for_at_kalshi(left_out: str) -> None:
    urls = {name: url for name, url in LOOPBACK.items() if name != left_out}
    with pytest.raises(UserError, match="of the venue simulated: set TAPE_KALSHI_REST_URL"):
        of("simulated/demo/main/0", **urls)
