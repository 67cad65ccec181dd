"""Texts of strangers with everything taken out that acts on a model rather than informs it.

Headlines, reasons and names of unknown fields are written by anyone. One table, in the order in which it is applied:

1. control, format (bidirectional, zero-width, tag), private and unassigned characters, fillers, blanks that are no
   spaces and variation selectors are removed; every run of white space becomes one space
2. look-alikes of the double quote become ', full-width brackets and bars become ‹ › ( ) |
3. styled letters (full-width, mathematical, circled, small capitals) become plain ones
4. Cyrillic and Greek letters that look Latin become Latin: in a word with Latin letters, or everywhere if the text has
   no other Cyrillic or Greek letter
5. < that could open a tag or a control token (<|im_start|>, <think>, <<SYS>>, </s>) becomes ‹, a word in square
   brackets ([INST]) stands in parentheses, and so does what stands in brackets that face the wrong way (]~b], [e~[)

The original stays in the record's evidence.
"""

import re
import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# What Unicode classifies as letters, marks or symbols and nobody sees: fillers, joiners, variation selectors, blanks.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00013441\U00013442\U00016fe4"
    "\U0001d159\U000e0100-\U000e01ef]"
)
_CAPITAL = re.compile("(?:NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL|LATIN) LETTER (?:SMALL CAPITAL )?([A-Z])")
_CAPITALS = {
    chr(code): found[1]
    for code in (*range(0x250, 0x2B0), *range(0x1D00, 0x1D23), 0xA730, 0xA731, *range(0x1F150, 0x1F18A))
    if (found := _CAPITAL.fullmatch(unicodedata.name(chr(code), "")))
}
"""Small capitals, and letters on black: Unicode calls none of them a form of another letter."""
_SIGNS = str.maketrans(
    dict.fromkeys("“”„‟«»″‴‶‷〝〞〟❝❞ʺ˝ˮ˵˶״＂", "'")
    | dict.fromkeys("＜﹤", "‹")
    | dict.fromkeys("＞﹥", "›")
    | {"［": "(", "］": ")", "｜": "|"}
    | _CAPITALS
)
_LATIN = str.maketrans(
    "аеорсухіјѕһԁӏԛԝАВЕКМНОРСТУХІЈЅԌԚԜΑΒΕΖΗΙΚΜΝΟΡΤΥΧονɑɡօ",
    "aeopcyxijshdlqwABEKMHOPCTYXIJSGQWABEZHIKMNOPTYXovago",
)
_OTHER_SCRIPT = re.compile("[\u0370-\u052f]")
_WORD = re.compile(r"[^\W\d_]+")
_HAS_LATIN = re.compile("[A-Za-z]")
_TAG = re.compile(r"<(?=[^\s\d=.,$€£+\-]|0x)")
_TOKEN = re.compile(r"\[( ?/?[A-Za-z_][A-Za-z0-9_ ]{0,40})\]")
_TURNED = re.compile(r"\](?=(?:~!?[a-z]?|![a-z]~)[\[\]])|\[(?=(?:[a-z]~|>)\[)")
_STYLED = re.compile(r"[^\W\d_\x00-\xff]|[\u2460-\u24ff\U0001f130-\U0001f149]")  # ª and º are ordinary


def harmless(text: str) -> str:
    """Return the text on one line, made harmless by the table above. Harmless text comes back as it is."""
    if not (text.isascii() and text.isprintable()):
        text = _latin(_seen(text).translate(_SIGNS))
    if "<" in text:
        text = _TAG.sub("‹", text)
    if "[" in text or "]" in text:
        text = _TOKEN.sub(r"(\1)", text)
        text = _TURNED.sub(lambda bracket: "(" if bracket[0] == "[" else ")", text)
    return " ".join(text.split())


def _seen(text: str) -> str:
    """The text without what cannot be seen."""
    text = " ".join(_UNSEEN.sub("", text).split())
    return text if text.isprintable() else "".join(c for c in text if unicodedata.category(c) not in _HIDDEN)


def _latin(text: str) -> str:
    """The text with plain letters for styled and look-alike ones."""
    if text.isascii():
        return text
    text = _STYLED.sub(lambda letter: _plain(letter[0]), text)
    if all(ord(letter) in _LATIN for letter in _OTHER_SCRIPT.findall(text)):
        return text.translate(_LATIN)
    return _WORD.sub(lambda word: word[0].translate(_LATIN) if _HAS_LATIN.search(word[0]) else word[0], text)


def _plain(character: str) -> str:
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 and plain.isascii() and plain.isalpha() else character
