//! SASL: PLAIN, SCRAM and OAUTHBEARER, by librdkafka's own means and by a user's tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kstream::broker::BrokerErrorKind;
use kstream::broker::kafka::{KafkaSettings, OAuthToken};
use kstream::time::{Clock, SystemClock};

use super::fixture::{
    Application, BOTH, LOGIN, PASSWORD, connect, fixture, login, refused, settings,
};

/// The same login, by TLS.
fn encrypted(mut settings: KafkaSettings) -> KafkaSettings {
    settings.set("security.protocol", "SASL_SSL");
    settings.set("ssl.ca.location", fixture().authority.certificate().display().to_string());
    settings
}

#[test]
fn an_application_logs_in_by_plain_over_tls() {
    let settings = encrypted(login("PLAIN", "plain", PASSWORD));
    Application::new("login-plain").counts(connect(BOTH, settings).unwrap());
}

#[test]
fn an_application_logs_in_by_scram() {
    let short = login("SCRAM-SHA-256", "scram-sha-256", PASSWORD);
    Application::new("login-scram-256").counts(connect(LOGIN, short).unwrap());
    let long = encrypted(login("SCRAM-SHA-512", "scram-sha-512", PASSWORD));
    Application::new("login-scram-512").counts(connect(BOTH, long).unwrap());
}

#[test]
fn a_wrong_password_is_told_at_the_start() {
    for (mechanism, user) in [("PLAIN", "plain"), ("SCRAM-SHA-512", "scram-sha-512")] {
        let error = refused(LOGIN, login(mechanism, user, "wrong"));
        assert_eq!(error.kind(), BrokerErrorKind::Authorization, "{error}");
        let message = error.to_string();
        assert!(message.contains("check sasl.mechanism"), "{message}");
        assert!(!message.contains("\"wrong\""), "the password does not show: {message}");
    }
}

#[test]
fn a_wrong_password_of_one_role_is_told_at_the_start_with_its_role() {
    for prefix in ["main.consumer.", "restore.consumer.", "member.", "producer."] {
        let mut settings = login("PLAIN", "plain", PASSWORD);
        settings.set(&format!("{prefix}sasl.password"), "wrong");
        let error = refused(LOGIN, settings);
        assert_eq!(error.kind(), BrokerErrorKind::Authorization, "{error}");
        assert!(error.to_string().contains(&format!("with the settings of `{prefix}`")), "{error}");
    }
}

#[test]
fn a_mechanism_that_needs_another_library_is_refused_in_librdkafkas_words() {
    let kerberos = settings(&[("security.protocol", "SASL_PLAINTEXT")]);
    let error = refused(LOGIN, kerberos).to_string();
    assert!(error.contains("GSSAPI") && error.contains("SASL_SCRAM"), "{error}");
}

#[test]
fn an_application_logs_in_by_the_unsecured_tokens_of_librdkafka() {
    let settings = settings(&[
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=unsecured"),
    ]);
    Application::new("login-unsecured").counts(connect(LOGIN, settings).unwrap());
}

/// Base64 as JWTs want it.
fn base64url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = text.as_bytes().chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |index| DIGITS[(bits >> (18 - 6 * index) & 63) as usize])
    });
    digits.map(char::from).collect()
}

/// A token that a broker takes which checks no signatures.
fn token(principal: &str, life_ms: i64) -> OAuthToken {
    let now_ms = SystemClock::new().now_ms();
    let expires_at_ms = now_ms + life_ms;
    let (issued, expires) = (now_ms / 1000, (expires_at_ms + 999) / 1000);
    let claims = format!(r#"{{"sub":"{principal}","iat":{issued},"exp":{expires}}}"#);
    OAuthToken {
        value: format!("{}.{}.", base64url(r#"{"alg":"none"}"#), base64url(&claims)),
        expires_at_ms,
        principal: principal.to_owned(),
        extensions: [].into(),
    }
}

fn with_tokens() -> KafkaSettings {
    settings(&[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "OAUTHBEARER")])
}

#[test]
fn an_application_logs_in_by_the_tokens_of_its_user() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let mut settings = with_tokens();
    settings.oauth_tokens = Some(Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(token("app", 60_000))
    }));
    Application::new("login-tokens").counts(connect(LOGIN, settings).unwrap());
    // Admin, main and restore consumer, producer, member: each client has a token of its own.
    assert!(asked.load(Ordering::SeqCst) >= 5, "{asked:?}");
}

#[test]
fn a_token_that_cannot_be_had_is_told_at_the_start_with_the_reason() {
    let mut settings = with_tokens();
    settings.oauth_tokens = Some(Arc::new(|| Err("the identity provider is away".into())));
    let error = refused(LOGIN, settings);
    assert_eq!(error.kind(), BrokerErrorKind::Authorization, "{error}");
    assert!(error.to_string().contains("the identity provider is away"), "{error}");
}
