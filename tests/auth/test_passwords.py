"""Which passwords are good enough, and how they are stored."""

import pytest

from app.auth import passwords
from app.kernel.errors import BadInput

WHO = {"login": "gosha.petrov", "email": "georgy@ates.example"}


@pytest.mark.parametrize(
    "password",
    [
        "eleven tulips under a bridge",
        "яблочный пирог и корица",
        "xK9#vQ2m!pL7zR4",
        "🦜🦜🦜 громкие попугаи 🦜",
        "q" * 3 + "jumping over lazy rivers" + " " * 3,
        "k3!" * 5 + "zebra lamp" + "x" * 103,
    ],
)
def test_any_characters_and_no_composition_rules(password):
    assert passwords.checked_password(password, **WHO) == password


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "15"),
        ("fourteen chars", "15"),
        ("tulip " * 22, "128"),
        ("aaaaaaaaaaaaaaaaaaaa", "first"),
        ("abababababababababab", "first"),
        ("passwordpassword", "first"),
        ("P@ssw0rd12345678!!", "first"),
        ("qwertyuiopasdfgh", "first"),
        ("123456789012345", "first"),
        ("Winter2024!Winter2024!", "first"),
        ("correct horse battery staple", "first"),
        ("йцукенгшщзхъфывапр", "first"),
        ("пароль-пароль-пароль", "first"),
        ("my name is gosha.petrov", "login"),
        ("tulips for PETROV only", "login"),
        ("write to georgy@ates.example", "login"),
        ("ask georgy about tulips", "login"),
    ],
)
def test_what_is_refused(password, why):
    with pytest.raises(BadInput) as refused:
        passwords.checked_password(password, **WHO)
    assert why in refused.value.fields["password"]


def test_stored_is_an_argon2id_phc_string_with_a_salt_of_its_own():
    first, second = (passwords.hash_password("eleven tulips under a bridge") for _ in range(2))
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert passwords.verify(first, "eleven tulips under a bridge")
    assert not passwords.verify(first, "eleven tulips under a bridgE")


@pytest.mark.parametrize("stored", [None, "", "garbage", "$argon2id$"])
def test_nothing_verifies_against_no_hash(stored):
    assert not passwords.verify(stored, "")
    assert not passwords.verify(stored, "eleven tulips under a bridge")
