"""The installation's certificate authority and its leaves: when to make which, and their bytes. No I/O; keys are random.

Rotation of the authority, so that no peer ever meets a certificate it does not trust:

    0 ........... 2/3 of its life ..... + 1/12 ............. 3/3
    signs, alone  | the next one is    | the next one signs | leaves the bundle
                  | in every bundle    |                    |

A leaf never outlives the authority that signed it, and is renewed at two thirds of its life.
"""

from __future__ import annotations

import datetime as dt

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BACKDATE_S = 30
"""Certificates begin a little earlier, for peers whose clock is behind."""


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """One authority: certificate and key, PEM."""

    certificate: bytes
    key: bytes


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs, who will sign next, and who has signed; all of them are trusted."""

    current: Signer
    following: Signer | None = None
    previous: bytes = b""

    @property
    def bundle(self) -> bytes:
        """Every certificate that peers trust, PEM."""
        following = self.following.certificate if self.following else b""
        return self.current.certificate + following + self.previous


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One process's certificate and key, and the bundle that was given with it, PEM."""

    certificate: bytes
    key: bytes
    bundle: bytes


def new_signer(installation: str, *, now: dt.datetime, lifetime: dt.timedelta) -> Signer:
    """Return a new self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{installation} authority"[:64])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(certificate=_pem(certificate), key=_key_pem(key))


def is_sound(authority: Authority) -> bool:
    """Return whether every certificate of an authority can be read, and it can sign with its keys."""
    signers = [each for each in (authority.current, authority.following) if each is not None]
    try:
        x509.load_pem_x509_certificates(authority.bundle)
        if authority.previous:
            x509.load_pem_x509_certificate(authority.previous)
        pairs = [
            (
                x509.load_pem_x509_certificate(each.certificate).public_key(),
                serialization.load_pem_private_key(each.key, password=None),
            )
            for each in signers
        ]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return all(
        isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == public
        for public, key in pairs
    )


def rotated(
    authority: Authority | None, installation: str, *, now: dt.datetime, lifetime: dt.timedelta
) -> Authority:
    """Return what the authority should be now; the same one when nothing is due."""
    if authority is None or _expires(authority.current.certificate) <= now:
        return Authority(current=new_signer(installation, now=now, lifetime=lifetime))
    if authority.following is None and due(now, authority.current.certificate):
        following = new_signer(installation, now=now, lifetime=lifetime)
        authority = msgspec.structs.replace(authority, following=following)
    begin, end = _validity(authority.current.certificate)
    if authority.following is not None and now >= begin + (end - begin) * 3 / 4:
        authority = Authority(current=authority.following, previous=authority.current.certificate)
    if authority.previous and _expires(authority.previous) <= now:
        authority = msgspec.structs.replace(authority, previous=b"")
    return authority


def issue(authority: Authority, identity: str, *, now: dt.datetime, lifetime: dt.timedelta) -> Leaf:
    """Return a new leaf for the URI `identity`, for both ends of a connection."""
    signer = x509.load_pem_x509_certificate(authority.current.certificate)
    signing_key = serialization.load_pem_private_key(authority.current.key, password=None)
    assert isinstance(signing_key, ec.EllipticCurvePrivateKey), "authorities are of our making"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity[-64:])])
    end = min(now + lifetime, signer.not_valid_after_utc)
    both = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    certificate = (
        _builder(name, signer.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(authority_id, critical=False)
        .add_extension(own_id, critical=False)
        .add_extension(uri, critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    return Leaf(certificate=_pem(certificate), key=_key_pem(key), bundle=authority.bundle)


def current(
    leaf: Leaf | None,
    authority: Authority,
    identity: str,
    *,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> Leaf:
    """Return what a leaf should be now: the same, the same with a new bundle, or a new one."""
    if leaf is None or not _serves(leaf, authority, identity, now):
        return issue(authority, identity, now=now, lifetime=lifetime)
    if leaf.bundle != authority.bundle:
        return msgspec.structs.replace(leaf, bundle=authority.bundle)
    return leaf


def due(now: dt.datetime, certificate: bytes) -> bool:
    """Return whether two thirds of a certificate's life are over."""
    begin, end = _validity(certificate)
    return now >= begin + (end - begin) * 2 / 3


def _serves(leaf: Leaf, authority: Authority, identity: str, now: dt.datetime) -> bool:
    """Return whether a leaf is ours, of a trusted authority, for this identity, and not due."""
    try:
        certificate = x509.load_pem_x509_certificate(leaf.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        key = serialization.load_pem_private_key(leaf.key, password=None)
    except (ValueError, x509.ExtensionNotFound):
        return False
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return (
        identity in uris
        and key.public_key() == certificate.public_key()
        and _is_signed_by_one_of(certificate, authority.bundle)
        and not due(now, leaf.certificate)
    )


def _is_signed_by_one_of(certificate: x509.Certificate, bundle: bytes) -> bool:
    for signer in x509.load_pem_x509_certificates(bundle):
        try:
            certificate.verify_directly_issued_by(signer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    begin: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - dt.timedelta(seconds=BACKDATE_S))
        .not_valid_after(end)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _validity(certificate: bytes) -> tuple[dt.datetime, dt.datetime]:
    parsed = x509.load_pem_x509_certificate(certificate)
    begin = parsed.not_valid_before_utc + dt.timedelta(seconds=BACKDATE_S)
    return begin, parsed.not_valid_after_utc


def _expires(certificate: bytes) -> dt.datetime:
    return _validity(certificate)[1]


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
