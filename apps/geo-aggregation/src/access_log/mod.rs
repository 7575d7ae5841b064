//! Parser for the Common and the Combined Log Format of web servers.
//!
//! A line is read once, left to right, without regular expressions; text is borrowed from the line
//! unless it holds escapes or bytes that are not UTF-8. The parser is strict about what makes a
//! line a visit (client, identity, user, time, request, status, size) and lenient about the rest:
//! a missing, cut off or unusual referer or user agent never costs the visit. It never panics,
//! whatever the bytes.

mod cursor;
mod quoted;
mod timestamp;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;

use cursor::Cursor;
use quoted::text;

/// One request as the server logged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLine<'a> {
    /// Who asked, as written: an address, or a host name where the server looks names up.
    pub host: Cow<'a, str>,
    /// The address in `host`, without port, brackets or zone; `None` for host names.
    pub ip: Option<IpAddr>,
    /// The identity by RFC 1413; `None` is `-`.
    pub identity: Option<Cow<'a, str>>,
    /// The authenticated user; `None` is `-`.
    pub user: Option<Cow<'a, str>>,
    /// When the request came, in milliseconds since the epoch.
    pub time_ms: i64,
    /// The request line.
    pub request: Request<'a>,
    /// The status code; `None` is `-`.
    pub status: Option<u16>,
    /// The size of the answer in bytes; `None` is `-`.
    pub bytes: Option<u64>,
    /// Where the visitor came from; `None` is `-`, or a line in Common Log Format.
    pub referer: Option<Cow<'a, str>>,
    /// The user agent; `None` is `-`, or a line in Common Log Format.
    pub user_agent: Option<Cow<'a, str>>,
}

/// The request line, split where it has the shape of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method; `None` when what was sent is not HTTP.
    pub method: Option<Cow<'a, str>>,
    /// The target; the whole text when what was sent is not HTTP; `None` is `-` or nothing.
    pub path: Option<Cow<'a, str>>,
}

/// Why a line is not an access log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AccessLogError {
    /// There is nothing in it.
    #[error("empty line")]
    Empty,
    /// No `[day/month/year:time zone]` stands in it.
    #[error("no timestamp in square brackets")]
    Timestamp,
    /// Client, identity and user do not all stand before the timestamp.
    #[error("client, identity and user are not all there before the timestamp")]
    Client,
    /// No quoted request follows the timestamp, or its closing quote is missing.
    #[error("no complete quoted request after the timestamp")]
    Request,
    /// What follows the request is neither a three-digit code nor `-`.
    #[error("no status code after the request")]
    Status,
    /// What follows the status is neither a number nor `-`.
    #[error("no size after the status code")]
    Size,
}

/// Reads one line, with or without its line end.
///
/// # Errors
/// The first part that a visit cannot do without and that is not there.
pub fn parse(line: &[u8]) -> Result<AccessLine<'_>, AccessLogError> {
    let line = trim(line);
    if line.is_empty() {
        return Err(AccessLogError::Empty);
    }
    let (client, time_ms, rest) = timestamp::find(line).ok_or(AccessLogError::Timestamp)?;
    let client = Client::parse(client).ok_or(AccessLogError::Client)?;
    let mut cursor = Cursor::new(rest);
    let (request, status) = cursor.request_and_status()?;
    let bytes = cursor.size()?;
    let referer = cursor.optional_field();
    let user_agent = cursor.optional_field();
    Ok(AccessLine {
        host: text(client.host),
        ip: client.ip,
        identity: client.identity.map(text),
        user: client.user.map(text),
        time_ms,
        request: Request::parse(request),
        status,
        bytes,
        referer: referer.and_then(quoted::value),
        user_agent: user_agent.and_then(quoted::value),
    })
}

/// The line without byte order mark, line end and surrounding blanks.
fn trim(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

/// What stands before the timestamp.
struct Client<'a> {
    host: &'a [u8],
    ip: Option<IpAddr>,
    identity: Option<&'a [u8]>,
    user: Option<&'a [u8]>,
}

impl<'a> Client<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (mut host, mut rest) = split_token(bytes)?;
        let mut ip = address(host);
        if ip.is_none() && has_three_tokens(rest) {
            // Two usual additions: a virtual host before the client, and a list of forwarded
            // addresses ("client, proxy") in its place, whose first entry is the client.
            if let Some(first) = host.strip_suffix(b",") {
                (host, ip) = (first, address(first));
                rest = skip_forwarded(rest);
            } else if let Some((second, after)) = split_token(rest)
                && let Some(found) = address(second)
            {
                (host, ip, rest) = (second, Some(found), after);
            }
        }
        let (identity, user) = split_token(rest)?;
        // Everything up to the timestamp is the user's name: some servers write it with blanks.
        let user = user.trim_ascii();
        if user.is_empty() {
            return None;
        }
        Some(Self { host, ip, identity: unless_dash(identity), user: unless_dash(user) })
    }
}

fn has_three_tokens(rest: &[u8]) -> bool {
    rest.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty()).nth(2).is_some()
}

/// Drops the further addresses of a forwarded list: all with a comma behind, and the one after.
fn skip_forwarded(mut rest: &[u8]) -> &[u8] {
    while let Some((token, after)) = split_token(rest) {
        rest = after;
        if !token.ends_with(b",") {
            break;
        }
    }
    rest
}

/// The first token and what follows the blank behind it.
fn split_token(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = bytes.trim_ascii_start();
    if bytes.is_empty() {
        return None;
    }
    let end = bytes.iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len());
    Some(bytes.split_at(end))
}

fn unless_dash(bytes: &[u8]) -> Option<&[u8]> {
    (bytes != b"-").then_some(bytes)
}

/// The address in a token: plain, or with port, brackets or an IPv6 zone. IPv4 addresses mapped
/// into IPv6 come out as IPv4.
fn address(token: &[u8]) -> Option<IpAddr> {
    // No host name that begins otherwise is an address; this spares most of the attempts.
    let first = *token.first()?;
    if !(first.is_ascii_hexdigit() || first == b':' || first == b'[') {
        return None;
    }
    let token = std::str::from_utf8(token).ok()?;
    let plain = token.parse::<IpAddr>().ok().or_else(|| dressed_address(token))?;
    Some(plain.to_canonical())
}

fn dressed_address(token: &str) -> Option<IpAddr> {
    if let Some(rest) = token.strip_prefix('[') {
        return without_zone(rest.split_once(']')?.0).parse().ok();
    }
    if let Some((before, _port)) = token.split_once(':')
        && let Ok(v4) = before.parse::<std::net::Ipv4Addr>()
    {
        return Some(IpAddr::V4(v4));
    }
    without_zone(token).parse().ok()
}

fn without_zone(address: &str) -> &str {
    address.split_once('%').map_or(address, |(plain, _)| plain)
}

impl<'a> Request<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        if raw.is_empty() || raw == b"-" {
            return Self { method: None, path: None };
        }
        Self::parse_http(raw)
            .unwrap_or_else(|| Self { method: None, path: Some(quoted::unescape(raw)) })
    }

    fn parse_http(raw: &'a [u8]) -> Option<Self> {
        let (method, rest) = split_token(raw)?;
        let known_shape = !method.is_empty() && method.iter().all(u8::is_ascii_alphabetic);
        let target = rest.trim_ascii();
        if !known_shape || target.is_empty() {
            return None;
        }
        let path = match target.iter().rposition(u8::is_ascii_whitespace) {
            Some(at) => match target.split_at(at) {
                (path, version) if version.trim_ascii().starts_with(b"HTTP/") => path.trim_ascii(),
                _ => target,
            },
            // HTTP/0.9 has no version.
            None => target,
        };
        Some(Self { method: Some(text(method)), path: Some(quoted::unescape(path)) })
    }
}
