"""Images named by address: off unless hosts are listed, and then only those hosts, without detours.

The name is looked up once, every address it has must be a public one, and the connection goes to just that address: a
name that changes what it means between check and use gains nothing. Redirects are not followed.
"""

import base64
import binascii
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from winnow.core.errors import InputError, Problem, Unavailable
from winnow.moderation.config import Addresses

_CHUNK = 65_536


def is_public(address: str) -> bool:
    """Whether an IP address is reachable by anybody, and so none of ours.

    >>> is_public("127.0.0.1"), is_public("10.0.0.1"), is_public("::ffff:169.254.169.254"), is_public("1.1.1.1")
    (False, False, False, True)
    """
    found = ipaddress.ip_address(address)
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    return found.is_global and inner.is_global and not (found.is_multicast or inner.is_multicast)


class Fetcher:
    """Gets images from listed hosts.

    Args:
        rules: hosts, time and size.
        allowed: says of an IP address whether it may be connected to.
        schemes: of addresses.
    """

    def __init__(
        self, rules: Addresses, *, allowed: Callable[[str], bool] = is_public, schemes: tuple[str, ...] = ("https",)
    ) -> None:
        self._rules, self._allowed, self._schemes = rules, allowed, schemes

    def get(self, address: str) -> bytes:
        """The bytes behind an address; those of a `data:` address are in it, and need no host.

        Raises:
            InputError: `address-refused`, `bad-data-address`.
            Unavailable: `address-failed`.
        """
        if address[:5].lower() == "data:":
            return _inline(address, self._rules.most_bytes)
        parts = self._checked(address)
        try:
            return self._read(parts, self._resolved(parts))
        except (OSError, http.client.HTTPException) as error:
            what = f"the host of the image did not answer: {type(error).__name__}"
            raise Unavailable(Problem("address-failed", what, "url", fix="send the image itself")) from None

    def _checked(self, address: str) -> SplitResult:
        try:
            parts = urlsplit(address)
            host, _ = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise _refused("it is no address") from None
        if not self._rules.hosts:
            raise _refused("images are not fetched from addresses here")
        if parts.scheme not in self._schemes or parts.username is not None or parts.password is not None:
            raise _refused(f"only {' and '.join(self._schemes)} without a user name is allowed")
        if host not in {known.lower() for known in self._rules.hosts}:
            raise _refused("its host is not on the list")
        return parts

    def _resolved(self, parts: SplitResult) -> tuple[str, int]:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = {str(one[4][0]) for one in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)}
        if not found or not all(self._allowed(ip) for ip in found):
            raise _refused("its host is not in the public network")
        return sorted(found)[0], port

    def _read(self, parts: SplitResult, place: tuple[str, int]) -> bytes:
        connection = _Pinned(parts, place, self._rules.timeout_s)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers={"Accept": "image/*"})
            with connection.getresponse() as reply:
                if reply.status != 200:
                    raise _refused(f"its host answered {reply.status}; redirects are not followed")
                return self._body(reply)
        finally:
            connection.close()

    def _body(self, reply: http.client.HTTPResponse) -> bytes:
        data = b""
        while part := reply.read(_CHUNK):
            data += part
            if len(data) > self._rules.most_bytes:
                raise _refused(f"the image has more than {self._rules.most_bytes:,} bytes")
        return data


class _Pinned(http.client.HTTPConnection):
    """A connection to an IP address that was checked, under the name that the certificate must carry."""

    def __init__(self, parts: SplitResult, place: tuple[str, int], timeout_s: float) -> None:
        super().__init__(parts.hostname or "", place[1], timeout=timeout_s)
        self._place, self._secure = place, parts.scheme == "https"

    def connect(self) -> None:
        plain = socket.create_connection(self._place, self.timeout)
        context = ssl.create_default_context() if self._secure else None
        self.sock = context.wrap_socket(plain, server_hostname=self.host) if context else plain


def _inline(address: str, most: int) -> bytes:
    head, _, data = address.partition(",")
    if not head.endswith(";base64"):
        raise InputError(Problem("bad-data-address", "it is not in base64", "url", fix="data:image/png;base64,…"))
    if len(data) > most * 4 // 3 + 4:
        raise _refused(f"the image has more than {most:,} bytes")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        problem = Problem("bad-data-address", "it is not in base64", "url", fix="data:image/png;base64,…")
        raise InputError(problem) from None


def _refused(what: str) -> InputError:
    why = "an address from outside could make the service reach into its own network"
    fix = "send the image itself, or list the host in `addresses.hosts` of moderation.toml"
    return InputError(Problem("address-refused", what, "url", why, fix))
