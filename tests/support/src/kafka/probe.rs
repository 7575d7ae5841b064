//! Asks a broker whether it serves, in its own protocol and without a client library.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Metadata request, version 1, for no topics: size, API key 3, version, correlation id, client id,
/// number of topics.
const REQUEST: &[u8] = b"\0\0\0\x13\0\x03\0\x01\0\0\0\x07\0\x05probe\0\0\0\0";

/// Whether the broker on this loopback port answers and lists itself as alive.
pub(super) fn is_ready(port: u16) -> bool {
    // Refused, reset, late: not ready yet, whatever the reason.
    brokers(port).is_ok_and(|count| count > 0)
}

/// How many brokers the answer lists: the array after size and correlation id.
fn brokers(port: u16) -> io::Result<i32> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(REQUEST)?;
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    let mut count = [0; 4];
    stream.read_exact(&mut count)?;
    Ok(i32::from_be_bytes(count))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn request_has_the_size_that_it_states() {
        assert_eq!(REQUEST.len() - 4, usize::from(REQUEST[3]));
    }

    #[test]
    fn broker_that_lists_nobody_is_not_ready() {
        for (brokers, ready) in [(0_i32, false), (1, true)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut vec![0; REQUEST.len()]).unwrap();
                stream.write_all(&[0, 0, 0, 8, 0, 0, 0, 7]).unwrap();
                stream.write_all(&brokers.to_be_bytes()).unwrap();
            });
            assert_eq!(is_ready(port), ready);
            server.join().unwrap();
        }
    }

    #[test]
    fn closed_port_is_not_ready() {
        assert!(!is_ready(crate::free_port().unwrap()));
    }
}
