"""Names that are safe anywhere, reasons that are known, and coins that are none of ISO 4217."""

from __future__ import annotations

import pytest

from billing import money, names, reasons
from billing.errors import CorrectionRefusedError, MoneyError, NameRefusedError


@pytest.mark.parametrize("text", ["li", "王芳", "case 77", "INV-2026/11", "a" * 16])
def test_a_plain_name_is_taken(text: str):
    assert names.checked(text, "reference", 16) == text


@pytest.mark.parametrize("text", ["", " ", "a ", "a\tb", "a\nb", "=1+1", "+86139", "-1", "@SUM(A1)", "a" * 17])
def test_what_a_line_a_file_or_a_spreadsheet_would_misread_is_refused_with_its_field(text: str):
    with pytest.raises(NameRefusedError, match=r"^reference: ") as refused:
        names.checked(text, "reference", 16)

    assert refused.value.field == "reference"


def test_a_reason_is_one_of_the_list():
    assert {reasons.checked(code) for code in reasons.REASONS} == set(reasons.REASONS)
    with pytest.raises(CorrectionRefusedError, match="the reasons are dispute"):
        reasons.checked("because")


def test_a_coin_becomes_known_once_and_with_one_meaning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(money, "EXPONENTS", dict(money.EXPONENTS))
    money.add_coin("GOLD", 3)
    money.add_coin("GOLD", 3)

    assert str(money.parse("1.5", "GOLD")) == "1.500 GOLD"
    for code, digits in (("GOLD", 2), ("CNY", 2), ("USD", 3), ("gold", 3), ("GO", 1), ("SILVER", 7)):
        with pytest.raises(MoneyError):
            money.add_coin(code, digits)


@pytest.mark.parametrize(("currency", "digits"), [("CNY", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("XOF", 0), ("ZMW", 2), ("QQB", 1)])
def test_every_currency_has_its_digits(currency: str, digits: int):
    assert money.exponent(currency) == digits
