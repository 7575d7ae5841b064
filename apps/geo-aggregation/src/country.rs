//! Country codes, two bytes each, and the names that people use for them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kstream::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};

/// An ISO 3166-1 alpha-2 code, or [`CountryCode::UNKNOWN`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// Where no country is known: private, reserved and unassigned addresses, and host names.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// Before every code, in the order of codes.
    pub const FIRST: Self = Self(*b"AA");

    /// The code as text.
    pub fn as_str(&self) -> &str {
        // INVARIANT: only ASCII letters get in.
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }

    /// The country's everyday English name; the code itself where it has none.
    pub fn name(&self) -> &str {
        if *self == Self::UNKNOWN {
            return "Unknown";
        }
        EVERYDAY_NAMES
            .iter()
            .find(|(code, _)| *code == self.as_str())
            .map(|&(_, name)| name)
            .or_else(|| rust_iso3166::from_alpha2(self.as_str()).map(|country| country.name))
            .unwrap_or_else(|| self.as_str())
    }
}

/// Where the formal short name of ISO 3166-1 is not what people say, and codes outside of it.
const EVERYDAY_NAMES: [(&str, &str); 32] = [
    ("AP", "Asia/Pacific"),
    ("BN", "Brunei"),
    ("BO", "Bolivia"),
    ("BQ", "Caribbean Netherlands"),
    ("CC", "Cocos Islands"),
    ("CD", "DR Congo"),
    ("CG", "Republic of the Congo"),
    ("EU", "European Union"),
    ("FK", "Falkland Islands"),
    ("FM", "Micronesia"),
    ("GB", "United Kingdom"),
    ("IR", "Iran"),
    ("KP", "North Korea"),
    ("KR", "South Korea"),
    ("LA", "Laos"),
    ("MD", "Moldova"),
    ("MF", "Saint Martin"),
    ("NL", "Netherlands"),
    ("PS", "Palestine"),
    ("RU", "Russia"),
    ("SH", "Saint Helena"),
    ("SX", "Sint Maarten"),
    ("SY", "Syria"),
    ("TR", "Turkey"),
    ("TW", "Taiwan"),
    ("TZ", "Tanzania"),
    ("US", "United States"),
    ("VE", "Venezuela"),
    ("VG", "British Virgin Islands"),
    ("VI", "US Virgin Islands"),
    ("VN", "Vietnam"),
    ("XK", "Kosovo"),
];

/// Text that is not a country code: anything but two ASCII letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a country code of two letters")]
pub struct CountryCodeError(String);

impl FromStr for CountryCode {
    type Err = CountryCodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            &[first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Ok(Self([first.to_ascii_uppercase(), second.to_ascii_uppercase()]))
            }
            _ => Err(CountryCodeError(text.to_owned())),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for CountryCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for CountryCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Writes the two letters, so that keys read as text in any Kafka tool.
struct CountryCodeSerde;

impl Serde<CountryCode> for CountryCodeSerde {
    fn serialize(&self, value: &CountryCode, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(&value.0);
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<CountryCode, SerdeError> {
        Ok(std::str::from_utf8(bytes)?.parse()?)
    }
}

impl DefaultSerde for CountryCode {
    fn default_serde() -> ArcSerde<Self> {
        Arc::new(CountryCodeSerde)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_name(code: &str, name: &str) {
        assert_eq!(code.parse::<CountryCode>().unwrap().name(), name);
    }

    #[test]
    fn names_are_those_people_use() {
        check_name("US", "United States");
        check_name("de", "Germany");
        check_name("KR", "South Korea");
        check_name("CI", "Côte d'Ivoire");
        check_name("XK", "Kosovo");
        check_name("ZZ", "Unknown");
        check_name("QQ", "QQ");
    }

    #[test]
    fn only_two_letters_are_a_code() {
        for text in ["", "U", "USA", "U1", "ß", "é"] {
            assert_eq!(text.parse::<CountryCode>(), Err(CountryCodeError(text.to_owned())));
        }
    }

    #[test]
    fn serde_round_trips_and_refuses_other_bytes() {
        let serde = CountryCode::default_serde();
        let mut bytes = Vec::new();
        let code: CountryCode = "FR".parse().unwrap();
        serde.serialize(&code, &mut bytes).unwrap();
        assert_eq!(bytes, b"FR");
        assert_eq!(serde.deserialize(&bytes).unwrap(), code);
        assert!(serde.deserialize(b"\xff\xfe").is_err());
    }
}
