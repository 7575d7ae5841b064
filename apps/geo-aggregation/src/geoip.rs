//! From an address to a country.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, PathElement, Reader};

use crate::country::CountryCode;

/// A database of addresses.
#[derive(Debug)]
pub enum Locator {
    /// The registries' delegations, compiled into the binary: it needs no file and knows to whom a
    /// block was assigned, which is not always where it is used.
    Embedded,
    /// A file in MaxMind's format, held in memory.
    MaxMind(Reader<Vec<u8>>),
}

/// A GeoIP file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the GeoIP file {}", path.display())]
pub struct LocatorError {
    path: PathBuf,
    source: MaxMindDbError,
}

impl Locator {
    /// The file's database, or the embedded one.
    ///
    /// # Errors
    /// The file cannot be read or is not in MaxMind's format.
    pub fn open(geoip: Option<&Path>) -> Result<Self, LocatorError> {
        let Some(path) = geoip else { return Ok(Self::Embedded) };
        Reader::open_readfile(path)
            .map(Self::MaxMind)
            .map_err(|source| LocatorError { path: path.to_owned(), source })
    }

    /// The country of an address; [`CountryCode::UNKNOWN`] for private and unassigned ones.
    pub fn locate(&self, ip: IpAddr) -> CountryCode {
        let ip = ip.to_canonical();
        let code = match self {
            Self::Embedded => iptocc::country_code(ip),
            Self::MaxMind(reader) => country_in(reader, ip, "country")
                .or_else(|| country_in(reader, ip, "registered_country")),
        };
        code.and_then(|code| code.parse().ok()).unwrap_or(CountryCode::UNKNOWN)
    }
}

/// The code under this field; a damaged or foreign record counts as unknown.
fn country_in<'a>(reader: &'a Reader<Vec<u8>>, ip: IpAddr, field: &'static str) -> Option<&'a str> {
    let path = [PathElement::Key(field), PathElement::Key("iso_code")];
    reader.lookup(ip).ok()?.decode_path(&path).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ip: &str, code: &str) {
        assert_eq!(Locator::Embedded.locate(ip.parse().unwrap()).as_str(), code, "{ip}");
    }

    #[test]
    fn embedded_database_knows_both_families() {
        check("8.8.8.8", "US");
        check("2001:4860:4860::8888", "US");
        check("::ffff:8.8.8.8", "US");
        check("193.99.144.80", "DE");
    }

    #[test]
    fn private_and_reserved_addresses_are_unknown() {
        for ip in ["10.1.2.3", "192.168.0.1", "172.16.0.1", "127.0.0.1", "169.254.1.1", "0.0.0.0"] {
            check(ip, "ZZ");
        }
        for ip in ["::1", "fe80::1", "fd00::1", "2001:db8::1", "255.255.255.255", "224.0.0.1"] {
            check(ip, "ZZ");
        }
    }

    #[test]
    fn unusable_file_is_named() {
        let path = Path::new("no/such.mmdb");
        let error = Locator::open(Some(path)).unwrap_err();
        assert_eq!(error.to_string(), "cannot use the GeoIP file no/such.mmdb");
    }
}
