//! Tokens for SASL/OAUTHBEARER, from wherever the user gets them.
//!
//! librdkafka asks on a thread of its own, some time before a token expires, so that no connection waits
//! for a thread of the runtime.
#![expect(unsafe_code, reason = "tokens are handed to a C library")]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{CString, c_char, c_void};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafka;

use super::client::{Context, REASON_LEN, Role, c_string, text};
use super::errors::failed;
use crate::record::Timestamp;

/// A token for SASL/OAUTHBEARER.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthToken {
    /// What the broker gets to see: a JWT in its compact form.
    pub value: String,
    /// When it ends, in milliseconds since the epoch. A new one is asked for after four fifths of the time
    /// until then.
    pub expires_at_ms: Timestamp,
    /// The name of the principal, for logs.
    pub principal: String,
    /// SASL extensions (RFC 7628), if the broker wants any.
    pub extensions: BTreeMap<String, String>,
}

/// Shows no token.
impl fmt::Debug for OAuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthToken")
            .field("expires_at_ms", &self.expires_at_ms)
            .field("principal", &self.principal)
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

/// Gives tokens for SASL/OAUTHBEARER: [`KafkaSettings::oauth_tokens`](super::KafkaSettings::oauth_tokens).
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use kstream::broker::kafka::{KafkaSettings, OAuthToken};
///
/// # fn fetch_from_identity_provider() -> Result<String, std::io::Error> { Ok("a.b.c".to_owned()) }
/// let mut settings = KafkaSettings::default();
/// settings.set("security.protocol", "SASL_SSL");
/// settings.set("sasl.mechanism", "OAUTHBEARER");
/// settings.oauth_tokens = Some(Arc::new(|| {
///     Ok(OAuthToken {
///         value: fetch_from_identity_provider()?,
///         expires_at_ms: 1_900_000_000_000,
///         principal: "counter".to_owned(),
///         extensions: [].into(),
///     })
/// }));
/// ```
///
/// # Source
/// `AuthenticateCallbackHandler` for `OAuthBearerTokenCallback` (KIP-255).
pub trait OAuthTokens: Send + Sync + 'static {
    /// A token that is good for a while. Called on a thread of the client library, once per client and
    /// whenever a token is about to expire; again after ten seconds when it fails. A client that is being
    /// closed waits for it: it must come back.
    fn token(&self) -> Result<OAuthToken, Box<dyn Error + Send + Sync>>;
}

impl<F> OAuthTokens for F
where
    F: Fn() -> Result<OAuthToken, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
{
    fn token(&self) -> Result<OAuthToken, Box<dyn Error + Send + Sync>> {
        self()
    }
}

/// Asks for a token, and hands it or the reason to librdkafka.
pub(super) unsafe extern "C" fn on_token_wanted<R: Role>(
    client: *mut RDKafka,
    _config: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: registered by `Client::<R>::new`, used within the callback.
    let context = unsafe { Context::<R>::from_opaque(opaque) };
    let Some(tokens) = context.tokens() else { return };
    // SAFETY: librdkafka passes a live client.
    let handed = token(tokens).and_then(|token| unsafe { hand_over(client, &token) });
    if let Err(reason) = handed {
        // A reason with a zero byte cannot be told; that there is one must be.
        let reason = CString::new(reason).unwrap_or_default();
        // SAFETY: the client is live, and the reason ends with a zero byte.
        unsafe { sys::rd_kafka_oauthbearer_set_token_failure(client, reason.as_ptr()) };
    }
}

/// The user's token or why there is none; a panic does not reach the C library.
fn token(tokens: &Arc<dyn OAuthTokens>) -> Result<OAuthToken, String> {
    match catch_unwind(AssertUnwindSafe(|| tokens.token())) {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the function that gives tokens has panicked".to_owned()),
    }
}

/// # Safety
/// `client` must be live.
unsafe fn hand_over(client: *mut RDKafka, token: &OAuthToken) -> Result<(), String> {
    let text_of = |part: &str| c_string(part).map_err(|error| error.to_string());
    let (value, principal) = (text_of(&token.value)?, text_of(&token.principal)?);
    let extensions: Vec<CString> = token
        .extensions
        .iter()
        .flat_map(|(name, value)| [name, value])
        .map(|part| text_of(part))
        .collect::<Result<_, _>>()?;
    let mut extensions: Vec<_> = extensions.iter().map(|part| part.as_ptr()).collect();
    let mut reason = [0; REASON_LEN];
    // SAFETY: the caller vouches for the client; all texts end with a zero byte and are copied.
    let error = unsafe {
        sys::rd_kafka_oauthbearer_set_token(
            client,
            value.as_ptr(),
            token.expires_at_ms,
            principal.as_ptr(),
            extensions.as_mut_ptr(),
            extensions.len(),
            reason.as_mut_ptr(),
            reason.len(),
        )
    };
    failed(error).map_or(Ok(()), |_| Err(text(reason.as_ptr())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_show() {
        let token = OAuthToken {
            value: "header.claims.signature".to_owned(),
            expires_at_ms: 7,
            principal: "counter".to_owned(),
            extensions: BTreeMap::new(),
        };
        let shown = format!("{token:?}");
        assert!(shown.contains("counter") && !shown.contains("claims"), "{shown}");
    }

    #[test]
    fn a_panic_is_a_reason() {
        let tokens: Arc<dyn OAuthTokens> = Arc::new(|| panic!("no network"));
        assert!(token(&tokens).unwrap_err().contains("panicked"));
    }
}
