"""Addresses on the host that the client used."""

from api.call import Call


def base_url(call: Call) -> str:
    """Return scheme and host as the client knows them, also behind a proxy."""
    forwarded = call.headers.get(b"x-forwarded-proto", b"").decode("latin-1")
    scheme = forwarded.partition(",")[0].strip().lower()
    scheme = scheme if scheme in {"http", "https"} else call.scope["scheme"]
    return f"{scheme}://{call.headers.get(b'host', b'localhost').decode('latin-1')}"
