"""Who may see reasons: a plain function of a request and a policy.

Rule: whoever is not clearly allowed is a stranger. Names and statuses are for everyone.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from hospital.errors import SettingError

TOKEN = re.compile(r"[!-~]{1,512}", re.ASCII)
"""What can stand in an ``Authorization`` header: visible ASCII without spaces."""

FORWARDING = frozenset(
    {
        "HTTP_CDN_LOOP",
        "HTTP_CF_CONNECTING_IP",
        "HTTP_CF_CONNECTING_IPV6",
        "HTTP_CF_RAY",
        "HTTP_CLIENT_IP",
        "HTTP_DO_CONNECTING_IP",
        "HTTP_FASTLY_CLIENT_IP",
        "HTTP_FLY_CLIENT_IP",
        "HTTP_FORWARDED",
        "HTTP_FORWARDED_FOR",
        "HTTP_PROXY_CONNECTION",
        "HTTP_TRUE_CLIENT_IP",
        "HTTP_VIA",
        "HTTP_X_AMZN_TRACE_ID",
        "HTTP_X_AZURE_CLIENTIP",
        "HTTP_X_CLIENT_IP",
        "HTTP_X_CLUSTER_CLIENT_IP",
        "HTTP_X_HOST",
        "HTTP_X_PROXYUSER_IP",
        "HTTP_X_REAL_IP",
    }
)
"""Headers that proxies add; whoever brings one did not come here directly."""

FORWARDING_PREFIXES = ("HTTP_X_FORWARDED", "HTTP_X_ORIGINAL_", "HTTP_X_ENVOY_")

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.\-]{1,64})(?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may see reasons.

    Attributes:
        reasons: ``token``, ``loopback`` or ``everyone``; anything else is nobody.
        token: The bearer token; where it is empty nobody has it.
    """

    reasons: str = "token"
    token: str = field(default="", repr=False)


def may_see_reasons(environ: Mapping[str, Any], policy: Policy) -> bool:
    """Return whether the request of *environ* (WSGI) may see reasons under *policy*.

    >>> may_see_reasons({"HTTP_AUTHORIZATION": "Bearer s3cret"}, Policy("token", "s3cret"))
    True
    >>> at_home = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:2014"}
    >>> may_see_reasons(at_home, Policy("loopback"))
    True
    >>> may_see_reasons({**at_home, "HTTP_VIA": "1.1 proxy"}, Policy("loopback"))
    False
    """
    if policy.reasons == "everyone":
        return True
    if policy.reasons == "loopback":
        return (
            is_loopback(str(environ.get("REMOTE_ADDR", "")))
            and is_loopback_host(str(environ.get("HTTP_HOST", "")))
            and not was_forwarded(environ)
        )
    return policy.reasons == "token" and _bears(environ, policy.token)


def _bears(environ: Mapping[str, Any], token: str) -> bool:
    scheme, _, given = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    given = given.strip(" ")
    if not token or scheme.lower() != "bearer" or not TOKEN.fullmatch(given):
        return False
    return hmac.compare_digest(given.encode(), token.encode())


def was_forwarded(environ: Mapping[str, Any]) -> bool:
    """Return whether a header says that a proxy stands between; an empty one says so too."""
    return not FORWARDING.isdisjoint(environ) or any(
        name.startswith(FORWARDING_PREFIXES) for name in environ
    )


@lru_cache(maxsize=64)
def is_loopback(address: str) -> bool:
    """Return whether *address* is one of this machine's loopback addresses.

    >>> [is_loopback(a) for a in ("127.8.9.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "")]
    [True, True, True, False, False]
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


@lru_cache(maxsize=64)
def is_loopback_host(host: str) -> bool:
    """Return whether *host*, a Host header, names the loopback; a page elsewhere cannot say so.

    >>> [is_loopback_host(h) for h in ("localhost:2014", "[::1]", "127.0.0.1", "example.org", "")]
    [True, True, True, False, False]
    """
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    name = parts[1].lower()
    return name in {"localhost", "localhost."} or is_loopback(name.strip("[]"))


def require_token(token: str, name: str = "token") -> str:
    """Return *token* if it can be one.

    Raises:
        SettingError: If it is empty, too long, or holds what no header can; it is not shown.
    """
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise SettingError(
            f"{name} cannot be a bearer token", "", "use 1 to 512 visible ASCII characters"
        )
    return token
