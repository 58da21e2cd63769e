"""A list of our own of what is guessed first, shipped with the program and read offline.

It holds the words (common_words.txt), sequences and keyboard rows that people build long passwords
of; a password that is nothing but such pieces, repeated or joined, with digits or signs around
them, is common.
"""

from __future__ import annotations

import re
from pathlib import Path

_WORDS = Path(__file__).with_name("common_words.txt").read_text(encoding="utf-8").split()
_SEQUENCES = (
    "01234567890123456789",
    "98765432109876543210",
    "abcdefghijklmnopqrstuvwxyz",
    "zyxwvutsrqponmlkjihgfedcba",
    "qwertyuiopasdfghjklzxcvbnm",
    "mnbvcxzlkjhgfdsapoiuytrewq",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "йцукенгшщзхъфывапролджэячсмитьбю",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
)
MIN_RUN = 3
_LEET = str.maketrans("0134578@$!", "oieastbasi")
_WORD = re.compile("|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)))
# Digits and signs before and after all else.
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_NOISE = re.compile(r"[\W\d_]+")
# What may be left over after all common pieces are taken out.
MAX_REST = 3


def is_common(folded: str) -> bool:
    """Whether the case-folded password is made of common pieces only."""
    without_leet = _AROUND.sub("", folded).translate(_LEET)
    return any(_rest(text) <= MAX_REST for text in (folded, without_leet))


def _rest(text: str) -> int:
    """How many characters are neither a common piece, nor repeated, nor digits or signs."""
    words_gone = _WORD.sub("", _without_repetition(text))
    return len(_NOISE.sub("", _without_sequences(words_gone)))


def _without_repetition(text: str) -> str:
    """One period of a text that repeats itself; the text when it does not."""
    period = (text + text).find(text, 1)
    return text[:period]


def _without_sequences(text: str) -> str:
    """The text without runs of three or more neighbours in a sequence."""
    kept = []
    start = 0
    while start < len(text):
        length = max(_run_length(text, start, sequence) for sequence in _SEQUENCES)
        if length < MIN_RUN:
            kept.append(text[start])
            length = 1
        start += length
    return "".join(kept)


def _run_length(text: str, start: int, sequence: str) -> int:
    length = 0
    while start + length < len(text) and text[start : start + length + 1] in sequence:
        length += 1
    return length
