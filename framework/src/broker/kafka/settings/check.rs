//! What is wrong with a user's settings, all of it together, before a client is made.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::defaults::FIXED;
use super::{KafkaSettings, ROLES};

impl KafkaSettings {
    /// Every property that is not the user's to set, that librdkafka does not know, or whose value it does not
    /// take: `main.consumer.foo: why`.
    pub(in crate::broker::kafka) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (prefix, properties) in ROLES.iter().map(|(prefix, of, _)| (prefix, of(self))) {
            for (name, value) in properties {
                if let Some(reason) = problem(name, value) {
                    problems.push(format!("{prefix}{name}: {reason}"));
                }
            }
        }
        if self.oauth_tokens.is_some() && !self.uses_tokens() {
            problems.push(
                "oauth_tokens: nobody asks for a token, because sasl.mechanism is not OAUTHBEARER"
                    .to_owned(),
            );
        }
        problems
    }

    fn uses_tokens(&self) -> bool {
        let mut properties = ROLES.iter().flat_map(|(_, of, _)| of(self));
        properties.any(|(name, value)| {
            name.starts_with("sasl.mechanism") && value.eq_ignore_ascii_case("OAUTHBEARER")
        })
    }
}

fn problem(name: &str, value: &str) -> Option<String> {
    if let Some((_, reason)) = FIXED.iter().find(|(fixed, _)| *fixed == name) {
        return Some(format!("is the framework's to set: {reason}"));
    }
    // One property at a time: librdkafka stops at the first that is wrong.
    let tried = ClientConfig::new().set(name, value).create_native_config();
    let error = tried.err()?;
    let reason = if let KafkaError::ClientConfig(_, reason, _, _) = &error {
        reason.clone()
    } else {
        error.to_string()
    };
    let hint = match name {
        "sasl.oauthbearer.method" => "; fetch tokens by KafkaSettings::oauth_tokens",
        name if name.starts_with("topic.") => {
            "; a config of internal topics is set by StreamsConfig::topic_config"
        }
        _ => "",
    };
    Some(format!("{reason}{hint}"))
}
