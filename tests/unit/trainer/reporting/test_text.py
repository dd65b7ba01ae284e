from imgq_trainer.reporting.text import decimal, share, shortened, visible


def test_what_has_no_shape_or_turns_the_text_around_it_is_replaced() -> None:
    assert visible("Fähre 船 <b>&\"'") == "Fähre 船 <b>&\"'"
    assert visible("a\x00b\x1bc\nd\udcffe\u202ef") == "a�b�c�d�e�f"


def test_numbers_have_units_and_what_is_undefined_a_dash() -> None:
    assert (share(0.9134), share(1.0), share(0.99999), share(None)) == (
        "91.3\u00a0%",
        "100.0\u00a0%",
        "99.9\u00a0%",
        "–",
    )
    assert (decimal(0.9134), decimal(None)) == ("0.913", "–")
    assert (shortened("abc", 3), shortened("abcd", 3)) == ("abc", "ab…")
