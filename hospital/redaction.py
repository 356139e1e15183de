"""Keep secrets, control characters and floods of text out of everything that is shown.

Rule: whatever goes in, the text that comes out can be encoded, printed on a terminal and put
into JSON, and is at most ``LONGEST`` characters.
"""

import re
from typing import Any

LONGEST = 4096
_READ_AT_MOST = 16_384
_MASK = "***"
_MASKED = "\ue000"  # what is masked already, while other forms are looked for

_NAMES_OF_SECRETS = (
    r"(?:pass(?:word|wd|phrase|wort)|pwd|secret|token|credentials?|authorization|signature"
    r"|(?:api|access|private|account|secret|signing|encryption)[_-]?key)"
)
_SHORT_NAMES = r"(?<![A-Za-z0-9])(?:pass|pw)(?=['\"]?=)"  # too common as words to mean it elsewhere
_QUERY = re.compile(
    rf"(?i)([?&;](?:[\w.\-]{{0,64}}{_NAMES_OF_SECRETS}[\w.\-]{{0,32}}|sig)=)[^\s&]+",
)
# A value goes on until white space, since a password may hold any other character, and white
# space behind a backslash. Where it is quoted it ends with the quote, which is missing where
# somebody has cut the text. What the line above has masked keeps the rest of its query.
_ASSIGNED = re.compile(
    rf"(?i)\b([\w.\-]{{0,64}}(?:{_NAMES_OF_SECRETS}[\w\-]{{0,16}}|{_SHORT_NAMES})"
    r"\\?['\"]?\s{0,8}[=:]\s{0,8})"
    rf"(?!\s|{_MASKED})"
    r"(?:'(?:[^'\\]|\\.)*(?:'[^\s,;&)\]}]*|\\?\Z)"
    r"|\"(?:[^\"\\]|\\.)*(?:\"[^\s,;&)\]}]*|\\?\Z)"
    r"|\[['\"][^\]]{0,512}\]\S*|[A-Za-z_]{1,32}\((?:'[^']{0,512}'|\"[^\"]{0,512}\")\)\S*"
    r"|(?:bearer|basic|token|digest)\s+\S+|(?:\\.|[^\s\\]|\\\Z)+)",
    re.DOTALL,
)
_QUOTED = re.compile(
    rf"(?i)\b([\w.\-]{{0,64}}(?:{_NAMES_OF_SECRETS}[\w\-]{{0,16}}|{_SHORT_NAMES})['\"]?\s{{0,8}}[=:]\s{{0,8}})"
    r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")(?=[\s,;&)\]}]|\Z)",
    re.DOTALL,
)
_ARGUMENT = re.compile(
    rf"(?i)((?<![\w\-])--?[\w\-]{{0,32}}{_NAMES_OF_SECRETS}[\w\-]{{0,16}}['\"]?(?:\s*,\s*|\s+))"
    r"(?:'[^']{0,512}'?|\"[^\"]{0,512}\"?|[^\s'\",]+)",
)
_PAIR = re.compile(
    rf"(?i)((['\"])[\w.\- ]{{0,64}}{_NAMES_OF_SECRETS}[\w.\-]{{0,16}}\2\s*,\s*)"
    r"(?:'[^']{0,512}'?|\"[^\"]{0,512}\"?)",
)
_HEADER = re.compile(
    r"(?i)(\b(?:proxy-)?authorization['\"]?\s{0,8}[:=,]\s{0,8}['\"]?"
    r"|\b(?:set-)?cookie['\"]?\s{0,8}[:=,]\s{0,8}['\"]?)[^\n'\"]+",
)
_ELEMENT = re.compile(rf"(?i)(<[\w:.\-]{{0,32}}{_NAMES_OF_SECRETS}[\w.\-]{{0,16}}>)[^<]+")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~\-]{8,}")
_KNOWN_TOKENS = re.compile(
    r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w\-]{12,}|xox[abprs]-[A-Za-z0-9\-]{10,}|AKIA[A-Z0-9]{16}"
    r"|sk-[A-Za-z0-9_\-]{16,}|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{4,}\.[A-Za-z0-9_\-]*)",
)
_MAY_HOLD_SECRET = re.compile(
    rf"(?i)://|{_NAMES_OF_SECRETS}|{_SHORT_NAMES}|bearer|basic|cookie|sig=|PRIVATE KEY"
    r"|gh[pousr]_|github_pat|glpat|xox|AKIA|sk-|eyJ",
)
_LONGEST_USER = 8
_IPV6 = re.compile(r"\[[\dA-Fa-f:.]+\]")
_WHITE_SPACE = re.compile(r"(\s+)")
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def redact(text: str) -> str:
    """Return *text* with passwords and tokens replaced by ``***``.

    Knows passwords in URLs, ``password=…`` as in DSNs, JSON and query strings, authorization
    headers, and tokens that show by their form.

    >>> redact("cannot reach postgresql://u:s3cret@h/db")
    'cannot reach postgresql://u:***@h/db'
    >>> redact("host=h password='s3 cret' user=u")
    'host=h password=*** user=u'
    """
    if not _MAY_HOLD_SECRET.search(text):
        return text
    text = text.replace(_MASKED, "")
    if "://" in text and "@" in text:
        text = "".join(map(_without_url_password, _WHITE_SPACE.split(text)))
    text = _PRIVATE_KEY.sub(_MASKED, text)
    for form in (_QUOTED, _QUERY, _HEADER, _ASSIGNED, _ARGUMENT, _PAIR, _ELEMENT):
        text = form.sub(rf"\1{_MASKED}", text)
    text = _BEARER.sub(rf"\1 {_MASKED}", text)
    return _KNOWN_TOKENS.sub(_MASKED, text).replace(_MASKED, _MASK)


def _without_url_password(word: str, *, is_cut: bool = False) -> str:
    """Mask what stands between the first colon of an address and its last ``@``.

    Reads nothing into the characters between, ``/``, ``@`` and quotes included, since people
    write passwords into addresses unescaped. *is_cut* says that the ``@`` may be missing.
    """
    scheme, separator, address = word.partition("://")
    if not separator:
        return word
    user, colon, rest = address.partition(":")
    if _IPV6.match(address):  # nobody's name
        return scheme + separator + _without_url_password(address, is_cut=is_cut)
    _, at, host = rest.rpartition("@")
    if colon and (at or is_cut):
        return f"{scheme}://{user}:{_MASK}@{host if at else ''}"
    alone, at, host = address.partition("@")
    if at and scheme.lower().endswith(("http", "https")) and len(alone) >= _LONGEST_USER:
        return f"{scheme}://{_MASK}@{host}"  # too long for a name: a token
    return word


def clean(text: str, longest: int = LONGEST) -> str:
    r"""Return *text* fit to be shown: redacted, without control characters, cut to *longest*.

    Line feeds and tabs stay; lone surrogates become U+FFFD.

    >>> clean("red \x1b[31malert\x1b[0m " + "x" * 9000)[:13], len(clean("x" * 9000))
    ('red [31malert', 4096)
    """
    readable = text[:_READ_AT_MOST]
    if not readable.isascii():
        readable = _SURROGATE.sub("\ufffd", readable)
    readable = _CONTROL.sub("", readable.replace("\r\n", "\n"))
    if len(text) > _READ_AT_MOST:
        *before, last = _WHITE_SPACE.split(readable)
        readable = "".join([*before, _without_url_password(last, is_cut=True)])
    readable = redact(readable)
    if len(readable) > longest or len(text) > _READ_AT_MOST:
        note = f" … [cut from {len(text)} characters]"
        if len(note) > longest:
            note = ""
        readable = readable[: longest - len(note)] + note
    return readable.strip("\n")


def clean_line(text: str, longest: int = 300) -> str:
    """Return *text* as :func:`clean` does, on one line."""
    return " ".join(clean(text, longest).split())


def to_text(value: Any) -> str:
    """Return ``str(value)``, whatever its ``__str__`` does."""
    try:
        return str(value)
    except BaseException as error:  # noqa: BLE001 - a check's own objects may do anything
        return f"<{type(value).__name__} whose text cannot be had: {type(error).__name__}>"
