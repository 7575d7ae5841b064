//! The little of Kafka's protocol that fixtures speak, without a client library.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
/// No test's answer is larger.
const MAX_ANSWER: usize = 16 << 20;

/// Sends a request, without its size, to the broker on this loopback port, and gives the answer behind
/// its size.
pub(super) fn ask(port: u16, request: &[u8]) -> io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(&i32::try_from(request.len()).map_err(io::Error::other)?.to_be_bytes())?;
    stream.write_all(request)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).unwrap_or(0).min(MAX_ANSWER);
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// What is left to read of an answer.
pub(super) struct Answer<'a>(pub(super) &'a [u8]);

impl Answer<'_> {
    pub(super) fn list<T>(
        &mut self,
        one: impl Fn(&mut Self) -> io::Result<T>,
    ) -> io::Result<Vec<T>> {
        let count = self.int32()?;
        (0..count).map(|_| one(self)).collect()
    }

    /// Text; null is empty.
    pub(super) fn string(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.int16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    pub(super) fn int16(&mut self) -> io::Result<i16> {
        let bytes = self.take(2)?.try_into().map_err(io::Error::other)?;
        Ok(i16::from_be_bytes(bytes))
    }

    pub(super) fn int32(&mut self) -> io::Result<i32> {
        let bytes = self.take(4)?.try_into().map_err(io::Error::other)?;
        Ok(i32::from_be_bytes(bytes))
    }

    pub(super) fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(taken)
    }
}
