//! TLS: who trusts whom.

use kstream::broker::BrokerErrorKind;
use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream_test_support::CertificateAuthority;

use super::fixture::{Application, MUTUAL, TLS, connect, fixture, refused, settings};

fn trusting(authority: &CertificateAuthority, more: &[(&str, &str)]) -> KafkaSettings {
    let trusted = authority.certificate().display().to_string();
    let ours = [("security.protocol", "SSL"), ("ssl.ca.location", &*trusted)];
    settings(&[&ours, more].concat())
}

#[test]
fn an_application_runs_over_tls() {
    let application = Application::new("tls");
    application.counts(connect(TLS, trusting(&fixture().authority, &[])).unwrap());
}

#[test]
fn an_authority_that_has_not_signed_the_brokers_certificate_is_named_as_the_thing_to_check() {
    let other = CertificateAuthority::create().unwrap();
    let error = refused(TLS, trusting(&other, &[]));
    assert_eq!(error.kind(), BrokerErrorKind::Invalid, "{error}");
    let message = error.to_string();
    assert!(message.contains("certificate verify failed"), "{message}");
    assert!(message.contains("check that ssl.ca.location"), "{message}");
}

#[test]
fn a_client_without_tls_is_told_to_look_at_the_protocol() {
    let error = refused(TLS, settings(&[]));
    assert_eq!(error.kind(), BrokerErrorKind::Retriable, "{error}");
    assert!(error.to_string().contains("one for TLS (security.protocol is PLAINTEXT)"), "{error}");
}

#[test]
fn tls_to_a_port_without_it_is_told_as_that() {
    let bootstrap = fixture().server.bootstrap();
    let settings = trusting(&fixture().authority, &[]);
    let error = KafkaBroker::new(bootstrap, settings).unwrap_err();
    assert!(error.to_string().contains("that this port speaks TLS"), "{error}");
}

#[test]
fn a_broker_that_wants_a_certificate_gets_one() {
    let authority = &fixture().authority;
    let client = authority.sign("client").unwrap();
    let (certificate, key) =
        (client.certificate.display().to_string(), client.key.display().to_string());
    let with_certificate = trusting(
        authority,
        &[("ssl.certificate.location", &certificate), ("ssl.key.location", &key)],
    );
    Application::new("mutual").counts(connect(MUTUAL, with_certificate).unwrap());
    let error = refused(MUTUAL, trusting(authority, &[]));
    assert!(error.to_string().contains("certificate"), "{error}");
}
