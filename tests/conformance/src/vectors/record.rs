//! A record of a vector file, in bytes, and how it is shown.

use std::fmt;

/// A record that goes in or came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorRecord {
    /// The full name of its topic.
    pub topic: String,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Milliseconds; `None` where a record is written without a timestamp.
    pub timestamp: Option<i64>,
    /// Names and values in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl VectorRecord {
    /// The record without what may differ between languages.
    pub(super) fn comparable(&self) -> Self {
        let mut record = self.clone();
        record.headers.retain(|(name, _)| name != "__streams.errors.stacktrace");
        for (name, value) in &mut record.headers {
            if ["__streams.errors.exception", "__streams.errors.message"].contains(&name.as_str()) {
                *value = None;
            }
        }
        record
    }
}

impl fmt::Display for VectorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, key, value, timestamp, headers } = self;
        write!(f, "{topic}: {} = {}", Shown(key.as_deref()), Shown(value.as_deref()))?;
        match timestamp {
            Some(ms) => write!(f, " at {ms}")?,
            None => f.write_str(" without time")?,
        }
        for (name, value) in headers {
            write!(f, " [{name}: {}]", Shown(value.as_deref()))?;
        }
        Ok(())
    }
}

/// Bytes as quoted text where they are readable, else as hex.
struct Shown<'a>(Option<&'a [u8]>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.write_str("null") };
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => write!(f, "{text:?}"),
            _ => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> VectorRecord {
        let header = |&(name, value): &(&str, &str)| (name.to_owned(), Some(value.into()));
        VectorRecord {
            topic: "dlq".to_owned(),
            key: Some(vec![0, 7]),
            value: Some("a\"b".into()),
            timestamp: Some(-1),
            headers: headers.iter().map(header).collect(),
        }
    }

    #[test]
    fn text_is_quoted_and_bytes_are_hex() {
        assert_eq!(record(&[("h", "1")]).to_string(), r#"dlq: 0x0007 = "a\"b" at -1 [h: "1"]"#);
        let nothing = VectorRecord { key: None, value: None, timestamp: None, ..record(&[]) };
        assert_eq!(nothing.to_string(), "dlq: null = null without time");
    }

    #[test]
    fn only_the_words_of_an_exception_may_differ() {
        let java = record(&[
            ("__streams.errors.exception", "java.lang.X"),
            ("__streams.errors.message", "boom"),
            ("__streams.errors.offset", "3"),
        ]);
        let ours = record(&[
            ("__streams.errors.exception", "BadRecord"),
            ("__streams.errors.message", "invalid length"),
            ("__streams.errors.stacktrace", "…"),
            ("__streams.errors.offset", "3"),
        ]);
        assert_eq!(java.comparable(), ours.comparable());
        let other_offset = record(&[
            ("__streams.errors.exception", "BadRecord"),
            ("__streams.errors.message", "invalid length"),
            ("__streams.errors.offset", "4"),
        ]);
        assert_ne!(java.comparable(), other_offset.comparable());
        assert_ne!(java.comparable(), record(&[("__streams.errors.offset", "3")]).comparable());
    }
}
