"""Numbers stay exact, and every number has one form."""

from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from projections.account.values import EXACT, rounded, shares, taker_fee, trimmed

decimals = st.decimals(-(10**20), 10**20, places=12, allow_nan=False) | st.decimals(
    -1, 1, places=15, allow_nan=False
)


def ten_digits(exact: Fraction) -> Fraction:
    return Fraction(round(exact * 10**10), 10**10)


@given(decimals)
def test_trimming_changes_the_form_and_not_the_number(value: Decimal) -> None:
    short = trimmed(value)
    assert short == value
    text = format(short, "f")
    assert "." not in text or not text.endswith("0")
    assert trimmed(Decimal(text + ("00" if "." in text else ".00"))).as_tuple() == short.as_tuple()


@given(decimals)
def test_rounding_keeps_ten_digits_half_to_even(value: Decimal) -> None:
    assert Fraction(rounded(value)) == ten_digits(Fraction(value))


@given(decimals, st.lists(st.decimals("0.01", 500, places=2), min_size=1, max_size=6))
def test_shares_add_up_to_what_is_spread(whole: Decimal, counts: list[Decimal]) -> None:
    with localcontext(EXACT):
        given_out = shares(whole, counts, sum(counts, Decimal(0)))
    assert sum(map(Fraction, given_out)) == ten_digits(Fraction(whole))


@given(st.integers(1, 10**6), st.integers(0, 10_000))
def test_the_fee_formula_rounds_up_to_the_cent(hundredths: int, price: int) -> None:
    count, p = Fraction(hundredths, 100), Fraction(price, 10_000)
    with localcontext(EXACT):
        fee = taker_fee(Decimal(hundredths).scaleb(-2), Decimal(price).scaleb(-4))
    exact = Fraction(7, 100) * count * p * (1 - p)
    assert Fraction(fee) == Fraction(-(-exact * 100 // 1), 100)
