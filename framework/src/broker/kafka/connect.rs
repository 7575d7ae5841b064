//! The start of a connection: bounded, and with an error that says what to look at.

use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::client::{Client, Deadline, Role};
use super::roles::{AdminRole, Reader};
use super::settings::{KafkaSettings, OwnClient};
use crate::broker::{BrokerError, BrokerErrorKind};

/// One try to reach a broker.
const STEP: Duration = Duration::from_millis(500);

/// Waits for the first answer of a broker. A login or a TLS handshake that a broker refuses ends the wait:
/// what is wrong will not mend itself.
pub(super) fn connect<R: Role>(
    client: &Client<R>,
    bootstrap: &str,
    timeout: Duration,
) -> Result<(), BrokerError> {
    let deadline = Deadline::after(timeout);
    loop {
        let answer = client.reach(STEP.min(deadline.left()));
        client.serve(Duration::ZERO);
        client.check()?;
        let Err(code) = answer else { return Ok(()) };
        let (code, reason) =
            client.context().last_error().unwrap_or_else(|| (code, code.to_string()));
        if let Some(error) = refused(bootstrap, code, &reason) {
            return Err(error);
        }
        if deadline.passed() {
            let message = format!(
                "no Kafka broker answers at {bootstrap} within {timeout:?} ({reason}): check the \
                 address, that the broker runs, that its advertised listeners can be reached from \
                 here, and that security.protocol is what this port speaks"
            );
            return Err(BrokerError::new(BrokerErrorKind::Retriable, message).with_source(code));
        }
    }
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
        let timeout = if connects { Some(settings.connect_timeout) } else { None };
        let checked = if is_producer {
            Client::new(&config, AdminRole).and_then(|client| reach(&client, bootstrap, timeout))
        } else {
            Client::new(&config, Reader).and_then(|client| reach(&client, bootstrap, timeout))
        };
        checked.map_err(|error| {
            let message = format!("with the settings of `{prefix}`");
            BrokerError::new(error.kind(), format!("{message}: {error}")).with_source(error)
        })?;
    }
    Ok(())
}

fn reach<R: Role>(
    client: &Client<R>,
    bootstrap: &str,
    timeout: Option<Duration>,
) -> Result<(), BrokerError> {
    timeout.map_or(Ok(()), |timeout| connect(client, bootstrap, timeout))
}
