"""Whether a bind suits its partner's policy: pure, asked when it binds and again when the policy changes."""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain.policy import PartnerPolicy, is_within, networks_of

_VERSION_3_4, _VERSION_5_0 = 0x34, 0x50


class Knock(NamedTuple):
    """How somebody came: from where, by which kind of bind, over what."""

    address: str
    kind: str  # one of policy.BIND_KINDS
    version: int  # as it will be spoken: 0x33, 0x34 or 0x50
    system_type: str
    is_tls: bool = False
    certificate_subject: str = ""  # common name of a certificate that was verified
    certificate_sha256: str = ""


def why_not_from(policy: PartnerPolicy, knock: Knock) -> str | None:
    """Why this partner may not come from there, in a word; None when it may. Needs no password."""
    if policy.networks and not is_within(knock.address, networks_of(policy)):
        return "address"
    if (policy.tls_required or policy.certificate_subject or policy.certificate_sha256) and not knock.is_tls:
        return "tls"
    if policy.certificate_subject and policy.certificate_subject != knock.certificate_subject:
        return "certificate"
    if policy.certificate_sha256 and policy.certificate_sha256 != knock.certificate_sha256:
        return "certificate"
    return None


def why_not_so(policy: PartnerPolicy, knock: Knock) -> str | None:
    """Why this partner may not bind like that, in a word; None when it may."""
    if policy.bind_kinds and knock.kind not in policy.bind_kinds:
        return "kind"
    if policy.interface_versions and version_name(knock.version) not in policy.interface_versions:
        return "version"
    if policy.system_type and policy.system_type != knock.system_type:
        return "system_type"
    return None


def version_name(version: int) -> str:
    """An interface_version as people write it."""
    if version < _VERSION_3_4:
        return "3.3"
    return "5.0" if version >= _VERSION_5_0 else "3.4"
