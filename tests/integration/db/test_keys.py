"""API keys: shown once, stored as a hash, refused for one reason at a time."""

import datetime
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from imgq_db.errors import KeyInvalid, KeyNotFound
from imgq_db.keys import (
    Scope,
    authenticate,
    ensure_key,
    list_keys,
    mint_key,
    new_key_text,
    revoke_key,
)

Clock = Callable[[float], None]


def in_an_hour(engine: Engine) -> datetime.datetime:
    with engine.connect() as connection:
        now = connection.execute(text("SELECT imgq_now()")).scalar_one()
    assert isinstance(now, datetime.datetime)
    return now + datetime.timedelta(hours=1)


def test_a_minted_key_opens_what_its_scopes_say(engine: Engine) -> None:
    key, secret = mint_key(engine, name="ci", scopes=[Scope.SUBMIT, Scope.READ])
    found = authenticate(engine, secret)
    assert (found.id, found.name, found.scopes) == (
        key.id,
        "ci",
        frozenset([Scope.SUBMIT, Scope.READ]),
    )
    assert [found.allows(scope) for scope in Scope] == [True, True, False, False]


def test_admin_may_do_everything(engine: Engine) -> None:
    key, _ = mint_key(engine, name="root", scopes=[Scope.ADMIN])
    assert all(map(key.allows, Scope))


def test_no_secret_is_stored(engine: Engine) -> None:
    _, secret = mint_key(engine, name="ci", scopes=[])
    with engine.connect() as connection:
        row = str(connection.execute(text("SELECT to_jsonb(k) FROM api_key k")).scalar_one())
    assert secret.split("_", 2)[2] not in row


@pytest.mark.parametrize(
    "key",
    [
        "",
        "imgq",
        "imgq__",
        "Bearer x",
        "imgq_01234567_short",
        f"imgq_0123456_{'a' * 43}",
        f"imgq_01234567_{'a' * 43}\n",
        f"imgq_01234567_{'a' * 43}",
        f"imgq_0123é567_{'a' * 43}",
        f"imgq_01234567_{'a' * 40}\0",
    ],
)
def test_a_text_that_is_no_key_of_ours_is_refused(key: str, engine: Engine) -> None:
    with pytest.raises(KeyInvalid):
        authenticate(engine, key)


def test_the_secret_counts_not_only_the_prefix(engine: Engine) -> None:
    key, secret = mint_key(engine, name="ci", scopes=[])
    with pytest.raises(KeyInvalid, match="not known"):
        authenticate(engine, secret[:-1] + ("a" if secret[-1] != "a" else "b"))
    with pytest.raises(KeyInvalid, match="not known"):
        authenticate(engine, secret.replace(key.prefix, "ffffffff"))


def test_a_revoked_key_is_refused(engine: Engine) -> None:
    key, secret = mint_key(engine, name="ci", scopes=[])
    revoked = revoke_key(engine, key.prefix)
    assert revoked.revoked_at is not None
    with pytest.raises(KeyInvalid, match="revoked"):
        authenticate(engine, secret)
    assert revoke_key(engine, key.prefix) == revoked


def test_an_unknown_key_cannot_be_revoked(engine: Engine) -> None:
    with pytest.raises(KeyNotFound):
        revoke_key(engine, "ffffffff")


def test_a_key_expires(engine: Engine, move_clock: Clock) -> None:
    _, secret = mint_key(engine, name="ci", scopes=[], expires_at=in_an_hour(engine))
    move_clock(3590)
    authenticate(engine, secret)
    move_clock(20)
    with pytest.raises(KeyInvalid, match="expired"):
        authenticate(engine, secret)


def test_the_last_use_is_noted_at_most_once_a_minute(engine: Engine, move_clock: Clock) -> None:
    _, secret = mint_key(engine, name="ci", scopes=[])
    seen = []
    for seconds in (0, 10, 60):
        move_clock(seconds)
        authenticate(engine, secret)
        seen.append(list_keys(engine)[0].last_used_at)
    first, second, third = (at for at in seen if at is not None)
    assert first == second < third


def test_a_known_key_is_made_usable_as_often_as_asked(engine: Engine) -> None:
    secret = new_key_text()
    first = ensure_key(engine, secret, name="bootstrap", scopes=Scope)
    assert ensure_key(engine, secret, name="bootstrap", scopes=Scope) == first
    assert authenticate(engine, secret).id == first.id
    assert len(list_keys(engine)) == 1


def test_an_expired_key_is_made_usable_again(engine: Engine, move_clock: Clock) -> None:
    secret = new_key_text()
    ensure_key(engine, secret, name="b", scopes=[], expires_at=in_an_hour(engine))
    move_clock(7200)
    ensure_key(engine, secret, name="b", scopes=[])
    assert authenticate(engine, secret).expires_at is None


def test_a_text_that_is_no_key_cannot_be_made_one(engine: Engine) -> None:
    with pytest.raises(KeyInvalid, match="form"):
        ensure_key(engine, "hunter2", name="bootstrap", scopes=Scope)


def test_a_new_key_never_takes_the_place_of_another(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = new_key_text(), new_key_text()
    twin = one[:13] + "_" + "b" * 43
    drawn = iter([one, twin, other])
    monkeypatch.setattr("imgq_db.keys.new_key_text", lambda: next(drawn))
    assert mint_key(engine, name="a", scopes=[])[1] == one
    assert mint_key(engine, name="b", scopes=[])[1] == other
    assert authenticate(engine, one).name == "a"


def test_keys_are_listed_oldest_first_with_the_revoked_ones(engine: Engine) -> None:
    keys = [mint_key(engine, name=name, scopes=[])[0] for name in "abc"]
    revoke_key(engine, keys[0].prefix)
    assert [(key.name, key.revoked_at is None) for key in list_keys(engine)] == [
        ("a", False),
        ("b", True),
        ("c", True),
    ]
