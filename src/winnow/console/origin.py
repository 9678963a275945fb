"""Keeps other people's web pages away from a service without keys.

Such a service listens on this machine only, but a page from anywhere, open in a browser here, could still send it
requests. A browser says where a request comes from; programs say nothing and pass.
"""

from collections.abc import Mapping

from winnow.core.errors import Problem, WinnowError
from winnow.core.settings import LOOPBACK

_OWN = (b"same-origin", b"none")  # from the page itself, or typed into the address bar


class Forbidden(WinnowError):
    """The request may not be made from where it comes."""

    status = 403


def check_origin(headers: Mapping[bytes, bytes]) -> None:
    """Passes requests of this machine's own pages and programs.

    Args:
        headers: of the request, names in small letters.

    Raises:
        Forbidden: `foreign-host` (the address was looked up under another name, as in DNS rebinding),
            `foreign-origin` (another site's page sends the request).
    """
    host = headers.get(b"host", b"localhost").decode("latin-1")
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    why = "without keys, any web page that is open here could read people's data and write events"
    fix = 'set auth = "keys" in winnow.toml to allow more'
    if name.strip("[]").lower() not in LOOPBACK:
        raise Forbidden(Problem("foreign-host", f"the service is not called `{name}`", "Host", why, fix))
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"none")
    if site not in _OWN or origin not in (None, f"http://{host}".encode()):
        raise Forbidden(Problem("foreign-origin", "the request comes from another site", "Origin", why, fix))
