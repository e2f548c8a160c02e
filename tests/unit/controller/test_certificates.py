import datetime as dt

import pytest
from cryptography import x509

from ald.controller.certificates import current, due, issue, new_signer, rotated

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
YEAR = dt.timedelta(days=360)
LEAF = dt.timedelta(days=90)
NAME = "ald://ald/gateway/plant-1/demo"


def authority(now=BEGIN):
    return rotated(None, "ald", now=now, lifetime=YEAR)


def days(number):
    return BEGIN + dt.timedelta(days=number)


def is_trusted(certificate, bundle):
    leaf = x509.load_pem_x509_certificate(certificate)
    for signer in x509.load_pem_x509_certificates(bundle):
        try:
            leaf.verify_directly_issued_by(signer)
        except ValueError:
            continue
        except Exception:  # noqa: BLE001 -- a signature that does not fit
            continue
        return True
    return False


def test_a_leaf_carries_its_identity_as_a_uri_and_serves_both_ends():
    leaf = issue(authority(), NAME, now=BEGIN, lifetime=LEAF)
    parsed = x509.load_pem_x509_certificate(leaf.certificate)
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [NAME]
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert len(list(usage)) == 2
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert is_trusted(leaf.certificate, leaf.bundle)
    assert b"PRIVATE KEY" in leaf.key


@pytest.mark.parametrize(("day", "is_due"), [(0, False), (59, False), (60, True), (90, True)])
def test_a_leaf_is_due_at_two_thirds_of_its_life(day, is_due):
    leaf = issue(authority(), NAME, now=BEGIN, lifetime=LEAF)
    assert due(days(day), leaf.certificate) is is_due


def test_a_leaf_never_outlives_its_authority():
    leaf = issue(authority(), NAME, now=days(350), lifetime=LEAF)
    assert x509.load_pem_x509_certificate(leaf.certificate).not_valid_after_utc == days(360)


def test_a_good_leaf_stays_as_it_is():
    signer = authority()
    leaf = issue(signer, NAME, now=BEGIN, lifetime=LEAF)
    assert current(leaf, signer, NAME, now=days(59), lifetime=LEAF) is leaf


@pytest.mark.parametrize(
    "spoil",
    [
        {"certificate": b""},
        {"certificate": b"no certificate"},
        {"key": b"no key"},
        {"key": issue(authority(), NAME, now=BEGIN, lifetime=LEAF).key},
        {"certificate": issue(authority(), NAME, now=BEGIN, lifetime=LEAF).certificate},
    ],
)
def test_a_spoiled_leaf_is_made_anew(spoil):
    signer = authority()
    leaf = issue(signer, NAME, now=BEGIN, lifetime=LEAF)
    fields = {"certificate": leaf.certificate, "key": leaf.key, "bundle": leaf.bundle} | spoil
    found = current(type(leaf)(**fields), signer, NAME, now=BEGIN, lifetime=LEAF)
    assert found.certificate not in (leaf.certificate, spoil.get("certificate"))
    assert is_trusted(found.certificate, signer.bundle)


def test_a_leaf_for_somebody_else_or_of_another_authority_is_made_anew():
    signer = authority()
    leaf = issue(signer, NAME, now=BEGIN, lifetime=LEAF)
    other = current(leaf, signer, NAME + "-2", now=BEGIN, lifetime=LEAF)
    assert other.certificate != leaf.certificate
    stranger = current(leaf, authority(), NAME, now=BEGIN, lifetime=LEAF)
    assert stranger.certificate != leaf.certificate


def test_a_new_bundle_is_handed_out_without_a_new_leaf():
    signer = authority()
    leaf = issue(signer, NAME, now=days(239), lifetime=YEAR)
    later = rotated(signer, "ald", now=days(240), lifetime=YEAR)
    found = current(leaf, later, NAME, now=days(240), lifetime=LEAF)
    assert found.certificate == leaf.certificate
    assert found.bundle == later.bundle != leaf.bundle


@pytest.mark.parametrize(("day", "following"), [(0, False), (239, False), (240, True)])
def test_the_next_authority_is_made_at_two_thirds_of_its_life(day, following):
    found = rotated(authority(), "ald", now=days(day), lifetime=YEAR)
    assert (found.following is not None) is following


def test_nothing_changes_while_nothing_is_due():
    signer = authority()
    assert rotated(signer, "ald", now=days(100), lifetime=YEAR) is signer


def test_through_two_rotations_every_leaf_is_trusted_by_every_bundle_of_the_last_weeks():
    signer = authority()
    leaf = issue(signer, NAME, now=BEGIN, lifetime=LEAF)
    history: list[tuple[bytes, bytes]] = []
    seen = {signer.current.certificate}
    for day in range(0, 700, 5):
        signer = rotated(signer, "ald", now=days(day), lifetime=YEAR)
        leaf = current(leaf, signer, NAME, now=days(day), lifetime=LEAF)
        seen.add(signer.current.certificate)
        # A peer may lag: the rotation leaves it a twelfth of the authority's life.
        history = [*history, (leaf.certificate, signer.bundle)][-5:]
        assert x509.load_pem_x509_certificate(leaf.certificate).not_valid_after_utc > days(day)
        for certificate, _ in history:
            assert all(is_trusted(certificate, bundle) for _, bundle in history)
        assert len(x509.load_pem_x509_certificates(signer.bundle)) <= 3
    assert len(seen) == 3


def test_an_authority_that_has_expired_is_replaced_at_once():
    old = authority()
    found = rotated(old, "ald", now=days(361), lifetime=YEAR)
    assert found.current.certificate != old.current.certificate


def test_an_authority_may_sign_leaves_and_nothing_else():
    signer = x509.load_pem_x509_certificate(new_signer("ald", now=BEGIN, lifetime=YEAR).certificate)
    constraints = signer.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
