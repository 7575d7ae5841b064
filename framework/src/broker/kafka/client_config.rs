//! What a client is made of: its properties, and where it gets tokens from.

use std::fmt;
use std::sync::Arc;

use rdkafka::config::{ClientConfig as RdConfig, NativeClientConfig};
use rdkafka::error::KafkaError;

use super::oauth::OAuthTokens;

/// The configuration of one client.
#[derive(Clone)]
pub(super) struct ClientConfig {
    properties: RdConfig,
    tokens: Option<Arc<dyn OAuthTokens>>,
}

impl ClientConfig {
    pub(super) fn new(tokens: Option<Arc<dyn OAuthTokens>>) -> Self {
        Self { properties: RdConfig::new(), tokens }
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.properties.set(name, value);
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name)
    }

    /// Where tokens come from, if this client needs any and librdkafka does not make them itself.
    pub(super) fn tokens(&self) -> Option<&Arc<dyn OAuthTokens>> {
        self.tokens.as_ref().filter(|_| self.uses_tokens())
    }

    /// Whether the client logs in with tokens.
    pub(super) fn uses_tokens(&self) -> bool {
        self.get("sasl.mechanism").is_some_and(|name| name.eq_ignore_ascii_case("OAUTHBEARER"))
    }

    /// librdkafka's form of the properties.
    pub(super) fn native(&self) -> Result<NativeClientConfig, KafkaError> {
        self.properties.create_native_config()
    }
}

/// Shows names only: values may be passwords.
impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.properties.config_map().keys()).finish()
    }
}
