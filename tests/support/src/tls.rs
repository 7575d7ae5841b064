//! Certificates for tests, by the `openssl` program: an authority, and what it signs.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::SupportError;
use crate::process::run;

/// A certificate authority of one test, good for two days. Its files go with its value.
#[derive(Debug)]
pub struct CertificateAuthority {
    dir: TempDir,
}

/// A certificate with its key, in PEM files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate alone.
    pub certificate: PathBuf,
    /// The key alone.
    pub key: PathBuf,
    /// Key and certificate, as a Kafka broker wants them.
    pub both: PathBuf,
}

impl CertificateAuthority {
    /// A new authority that nobody trusts yet.
    ///
    /// # Errors
    /// When `openssl` is missing or fails.
    pub fn create() -> Result<Self, SupportError> {
        let dir = TempDir::with_prefix("kstream-ca-")
            .map_err(SupportError::io("create a temporary folder"))?;
        let authority = Self { dir };
        openssl(&["req", "-x509", "-days", "2", "-subj", "/CN=test authority"], |command| {
            new_key(command, &authority.file("ca.key"));
            command.arg("-out").arg(authority.certificate());
        })?;
        Ok(authority)
    }

    /// The authority's own certificate: what a client has to trust.
    pub fn certificate(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// Signs a certificate for 127.0.0.1 and for this name, which is also its subject.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub fn sign(&self, name: &str) -> Result<Certificate, SupportError> {
        let file = |ending| self.file(&format!("{name}.{ending}"));
        let (request, extensions) = (file("csr"), file("ext"));
        let names = format!("subjectAltName=IP:127.0.0.1,DNS:{name}\n");
        std::fs::write(&extensions, names).map_err(SupportError::io("write a file"))?;
        let signed = Certificate { certificate: file("pem"), key: file("key"), both: file("both") };
        openssl(&["req", "-subj", &format!("/CN={name}")], |command| {
            new_key(command, &signed.key);
            command.arg("-out").arg(&request);
        })?;
        openssl(&["x509", "-req", "-days", "2", "-CAcreateserial"], |command| {
            command.arg("-in").arg(&request).arg("-out").arg(&signed.certificate);
            command.arg("-extfile").arg(&extensions);
            command.arg("-CA").arg(self.certificate()).arg("-CAkey").arg(self.file("ca.key"));
        })?;
        let text = |path| std::fs::read_to_string(path).map_err(SupportError::io("read a file"));
        let both = text(&signed.key)? + &text(&signed.certificate)?;
        std::fs::write(&signed.both, both).map_err(SupportError::io("write a file"))?;
        Ok(signed)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Lets a request bring a new key without a password.
fn new_key(command: &mut Command, path: &Path) {
    command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.arg("-keyout").arg(path);
}

fn openssl(arguments: &[&str], more: impl FnOnce(&mut Command)) -> Result<(), SupportError> {
    let mut command = Command::new("openssl");
    command.args(arguments);
    more(&mut command);
    run(&mut command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `openssl` itself trusts a certificate because of an authority.
    fn trusts(authority: &CertificateAuthority, certificate: &Certificate) -> bool {
        openssl(&["verify"], |command| {
            command.arg("-CAfile").arg(authority.certificate()).arg(&certificate.certificate);
        })
        .is_ok()
    }

    #[test]
    fn only_the_authority_that_signed_vouches_for_a_certificate() {
        let authority = CertificateAuthority::create().unwrap();
        let other = CertificateAuthority::create().unwrap();
        let certificate = authority.sign("localhost").unwrap();
        assert!(trusts(&authority, &certificate));
        assert!(!trusts(&other, &certificate));
    }
}
