//! Ports for servers that must know theirs before they start.
//!
//! INVARIANT: no two processes that ask here get the same port while the first one lives: a port is
//! reserved by a locked file, and comes from below the range that the kernel gives to outgoing
//! connections.

use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::SupportError;

const PORTS: Range<u16> = 20_000..30_000;

/// The locks of this process's ports, held until it ends; taken only to add one.
static RESERVED: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A loopback port that nobody listens on, reserved for this process.
///
/// # Errors
/// When the lock files cannot be written, or every port is taken.
pub fn free_port() -> Result<u16, SupportError> {
    let dir = std::env::temp_dir().join("kstream-test-ports");
    std::fs::create_dir_all(&dir).map_err(SupportError::io(format!("create {}", dir.display())))?;
    // Processes begin at different places so that they seldom try the same file.
    let first = PORTS.start + u16::try_from(std::process::id() % 100).unwrap_or(0) * 100;
    for port in (first..PORTS.end).chain(PORTS.start..first) {
        let path = dir.join(port.to_string());
        let file =
            File::create(&path).map_err(SupportError::io(format!("create {}", path.display())))?;
        if file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            return Ok(port);
        }
    }
    Err(SupportError::TimedOut {
        what: "a free port".to_owned(),
        deadline: std::time::Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_are_distinct_and_can_be_bound() {
        let ports: HashSet<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 20);
        for port in ports {
            assert!(PORTS.contains(&port));
            TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }

    #[test]
    fn port_in_use_is_not_given() {
        let taken = free_port().unwrap();
        let _listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        assert!((0..5).all(|_| free_port().unwrap() != taken));
    }
}
