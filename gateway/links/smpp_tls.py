"""What a TLS connection tells of its client: the common name and the fingerprint of a certificate that was verified."""

from __future__ import annotations

import hashlib
import ssl


def certificate_of(tls: ssl.SSLObject | None) -> tuple[str, str]:
    """(common name, SHA-256 in hexadecimal); empty where the client showed no certificate that was checked."""
    if tls is None:
        return "", ""
    octets = tls.getpeercert(binary_form=True)
    told = tls.getpeercert()
    if not octets or not told:  # without an authority of ours nothing was checked, and nothing is told
        return "", ""
    subject: tuple[tuple[tuple[str, str], ...], ...] = told.get("subject", ())  # type: ignore[assignment]  # typeshed has the union of all members
    names = [value for part in subject for name, value in part if name == "commonName"]
    return names[-1] if names else "", hashlib.sha256(octets).hexdigest()
