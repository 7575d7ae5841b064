//! The start of a connection: bounded, and with an error that says what to look at.

use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::client::{Client, Deadline, Role};
use super::client_config::ClientConfig;
use super::roles::{AdminRole, Reader};
use super::settings::{KafkaSettings, OwnClient};
use crate::broker::{BrokerError, BrokerErrorKind};

/// One try to reach a broker.
const STEP: Duration = Duration::from_millis(500);

/// Starts a client, and waits for the first answer of a broker. A login or a TLS handshake that a broker
/// refuses ends the wait: what is wrong will not mend itself.
pub(super) fn connect<R: Role>(
    config: &ClientConfig,
    role: R,
    bootstrap: &str,
    timeout: Duration,
) -> Result<Client<R>, BrokerError> {
    let client = Client::new(config, role)?;
    let deadline = Deadline::after(timeout);
    loop {
        let answer = client.reach(STEP.min(deadline.left()));
        client.serve(Duration::ZERO);
        client.check()?;
        let Err(code) = answer else { return Ok(client) };
        let (code, reason) =
            client.context().last_error().unwrap_or_else(|| (code, code.to_string()));
        if let Some(error) = refused(bootstrap, code, &reason) {
            return Err(error);
        }
        if deadline.passed() {
            let speaks = port_speaks(config);
            let message = format!(
                "no Kafka broker answers at {bootstrap} within {timeout:?} ({reason}): check the \
                 address, that the broker runs, that its advertised listeners can be reached from \
                 here, and that this port {speaks}"
            );
            return Err(BrokerError::new(BrokerErrorKind::Retriable, message).with_source(code));
        }
    }
}

/// What a port has to speak for this client. A port that speaks something else only closes the connection.
fn port_speaks(config: &ClientConfig) -> String {
    let protocol = config.get("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
    let transport = if protocol.ends_with("SSL") {
        "TLS, and is not one for PLAINTEXT"
    } else {
        "PLAINTEXT, and is not one for TLS"
    };
    format!("speaks {transport} (security.protocol is {protocol})")
}

/// The error of a broker that is there, and does not want this client.
fn refused(bootstrap: &str, code: RDKafkaErrorCode, reason: &str) -> Option<BrokerError> {
    let (_, kind, what, check) = REFUSALS.iter().find(|(refusal, ..)| *refusal == code)?;
    let message = format!("the Kafka broker at {bootstrap} {what} ({reason}): {check}");
    Some(BrokerError::new(*kind, message).with_source(code))
}

const LOGIN: &str =
    "check sasl.mechanism, and sasl.username and sasl.password, or where tokens come from";
const TLS: &str = "check that ssl.ca.location names the authority that has signed the broker's \
                   certificate, that the certificate is for this host name, that the client has a \
                   certificate (ssl.certificate.location, ssl.key.location) if the broker wants one, and \
                   that this port speaks TLS at all";

/// What waiting does not mend: code, how to react, what the broker does, and what to look at.
const REFUSALS: [(RDKafkaErrorCode, BrokerErrorKind, &str, &str); 3] = [
    (RDKafkaErrorCode::Authentication, BrokerErrorKind::Authorization, "refuses the login", LOGIN),
    (
        RDKafkaErrorCode::SaslAuthenticationFailed,
        BrokerErrorKind::Authorization,
        "refuses the login",
        LOGIN,
    ),
    (RDKafkaErrorCode::SSL, BrokerErrorKind::Invalid, "cannot be talked to by TLS", TLS),
];

/// Shows at start what is wrong with the settings of single roles: makes a client for each of them, and
/// connects it where the role logs in on its own.
pub(super) fn check_roles(settings: &KafkaSettings, bootstrap: &str) -> Result<(), BrokerError> {
    for OwnClient { prefix, config, is_producer, connects } in settings.own_clients(bootstrap) {
        let timeout = connects.then_some(settings.connect_timeout);
        let checked = if is_producer {
            check(&config, AdminRole, bootstrap, timeout)
        } else {
            check(&config, Reader, bootstrap, timeout)
        };
        checked.map_err(|error| {
            let message = format!("with the settings of `{prefix}`");
            BrokerError::new(error.kind(), format!("{message}: {error}")).with_source(error)
        })?;
    }
    Ok(())
}

fn check<R: Role>(
    config: &ClientConfig,
    role: R,
    bootstrap: &str,
    timeout: Option<Duration>,
) -> Result<(), BrokerError> {
    let Some(timeout) = timeout else { return Client::new(config, role).map(drop) };
    connect(config, role, bootstrap, timeout).map(drop)
}
