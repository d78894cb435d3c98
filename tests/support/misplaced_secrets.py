"""Secrets as people mistype them: made from a seed, and looked for in whatever came out."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["Secret", "make_secrets", "mangled"]

_WINDOW = 10


@dataclass(frozen=True)
class Secret:
    """What must not come out (`core`), in something that a user may have in the clipboard."""

    kind: str
    text: str
    core: str

    def found_in(self, output: str) -> str:
        """The piece of the secret that is in `output`, in any case and encoding, "" if none is."""
        lowered = output.lower()
        return next((piece for piece in self.pieces() if piece in lowered), "")

    def pieces(self) -> Iterator[str]:
        """Every ten characters of the secret, of its base64 and its percent-encoded form."""
        encoded = base64.b64encode(self.core.encode()).decode()
        for form in (self.core, encoded, quote(self.core, safe="")):
            form = form.lower()
            yield from (form[at : at + _WINDOW] for at in range(len(form) - _WINDOW + 1))


def make_secrets(chance: random.Random, endpoint: str) -> list[Secret]:
    """Fresh secrets of every kind; what has a URL in it leads to `endpoint`, an account's URL."""
    key = base64.b64encode(chance.randbytes(64)).decode()
    signature = base64.b64encode(chance.randbytes(32)).decode()
    claims = (base64.urlsafe_b64encode(chance.randbytes(40)).decode() for _ in range(3))
    token = ".".join(f"{head}{part}" for head, part in zip(("eyJ", "eyJ", ""), claims, strict=True))
    bare = f"sv=2024-11-04&sr=b&sp=racwdl&se=2999-01-01T00%3A00%3A00Z&sig={signature}"
    sas = bare.replace(signature, quote(signature, safe=""))
    url = f"{endpoint}/disks/d.vhd"
    return [
        Secret("url", f"{url}?{sas}", signature),
        Secret("url with bare signature", f"{url}?{bare}", signature),
        Secret("sas", sas, signature),
        Secret("?sas", f"?{sas}", signature),
        Secret("path?sas", f"disks/d.vhd?{sas}", signature),
        Secret(
            "connection string", f"AccountName=acct;AccountKey={key};BlobEndpoint={endpoint}", key
        ),
        Secret(
            "connection string with SAS",
            f"BlobEndpoint={endpoint};SharedAccessSignature={sas}",
            signature,
        ),
        Secret("endpoint with SAS", f"BlobEndpoint={endpoint}?{sas};AccountName=acct", signature),
        Secret("key", key, key),
        Secret("token", f"Bearer {token}", token),
        Secret("bare token", token, token),
    ]


_MANGLES: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "quoted": lambda text: f'"{text}"',
    "single quotes": lambda text: f"'{text}'",
    "half quoted": lambda text: f'{text}"',
    "escaped quotes": lambda text: f'\\"{text}\\"',
    "typographic quotes": lambda text: f"\u201c{text}\u201d",
    "byte order mark": lambda text: f"\ufeff{text}",
    "blanks": lambda text: f"  {text} ",
    "line break at the end": lambda text: f"{text}\n",
    "line break within": lambda text: f"{text[:-20]}\n{text[-20:]}",
    "no scheme": lambda text: text.replace("http://", ""),
    "one slash": lambda text: text.replace("://", ":/"),
    "ftp": lambda text: text.replace("http://", "ftp://"),
    "number sign": lambda text: text.replace("?", "#"),
    "%3F": lambda text: text.replace("?", "%3F"),
    "%26": lambda text: text.replace("&", "%26"),
    "&amp;": lambda text: text.replace("&", "&amp;"),
    "percent": lambda text: quote(text, safe=""),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "blanks around =": lambda text: text.replace("=", " = "),
    "appended to a path": lambda text: f"/tmp/disk.vhd{text}",
    "appended to a blob": lambda text: f"disks/disk.vhd{text}",
    "a folder of a path": lambda text: f"/tmp/{text}/disk.vhd",
    "file:": lambda text: f"file:{text}",
    "file: with .vhd": lambda text: f"file:{text}.vhd",
    "blob:": lambda text: f"blob:{text}",
    "an assignment": lambda text: f"AZURE_STORAGE_SAS_TOKEN={text}",
    "an option": lambda text: f"--sas={text}",
    "two question marks": lambda text: text.replace("?", "?x?"),
}
_OF_SAS_ALONE: dict[str, Callable[[str], str]] = {
    # A key or a token in capitals is none, and opens nothing.
    "capitals": str.upper,
    "user": lambda text: text.replace("http://", "http://user:pw@"),
}


def mangled(secrets: list[Secret]) -> Iterator[tuple[str, Secret, str]]:
    """Every secret in every form: its name, the secret, and the text."""
    for secret in secrets:
        ways = _MANGLES | (_OF_SAS_ALONE if "sig=" in secret.text else {})
        for way, mangle in ways.items():
            yield f"{secret.kind}, {way}", secret, mangle(secret.text)
