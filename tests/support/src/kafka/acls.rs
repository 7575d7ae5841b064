//! Rules about who may do what, added over the wire: Kafka's own tool takes a JVM for each.

use std::io;

use super::wire::{Answer, ask};

/// What a rule is about; the name may be `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AclResource {
    /// A topic.
    Topic = 2,
    /// A consumer group.
    Group = 3,
    /// The cluster, whose name is `kafka-cluster`.
    Cluster = 4,
    /// A transactional id.
    TransactionalId = 5,
}

/// What a rule allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AclOperation {
    /// Everything.
    All = 2,
    /// Fetch, join, commit.
    Read = 3,
    /// Produce, take part in transactions.
    Write = 4,
    /// Create topics.
    Create = 5,
    /// Delete topics or records.
    Delete = 6,
    /// Look at it.
    Describe = 8,
    /// Look at its configs.
    DescribeConfigs = 10,
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub struct Acl<'a> {
    /// `User:name`, or `User:*`.
    pub principal: &'a str,
    /// What it is about.
    pub resource: AclResource,
    /// The resource's name, or how it begins if it ends with `*`.
    pub name: &'a str,
    /// What it allows or denies.
    pub operation: AclOperation,
    /// Whether it denies, which wins over whatever allows.
    pub deny: bool,
}

const LITERAL: u8 = 3;
const PREFIXED: u8 = 4;
const DENY: u8 = 2;
const ALLOW: u8 = 3;

/// Adds all rules by the broker on this loopback port; fails when one is refused.
pub(super) fn add(port: u16, acls: &[Acl<'_>]) -> io::Result<()> {
    let answer = ask(port, &request(acls)?)?;
    let mut answer = Answer(&answer);
    answer.int32()?; // correlation id
    answer.int32()?; // throttled for
    let refused = answer.list(|answer| Ok((answer.int16()?, answer.string()?)))?;
    match refused.into_iter().find(|(code, _)| *code != 0) {
        Some((code, reason)) => Err(io::Error::other(format!("{reason} ({code})"))),
        None => Ok(()),
    }
}

/// `CreateAcls`, version 1.
fn request(acls: &[Acl<'_>]) -> io::Result<Vec<u8>> {
    let mut bytes = b"\0\x1e\0\x01\0\0\0\x07\0\x05rules".to_vec();
    let text = |bytes: &mut Vec<u8>, text: &str| -> io::Result<()> {
        bytes.extend(i16::try_from(text.len()).map_err(io::Error::other)?.to_be_bytes());
        bytes.extend(text.as_bytes());
        Ok(())
    };
    bytes.extend(i32::try_from(acls.len()).map_err(io::Error::other)?.to_be_bytes());
    for acl in acls {
        let (name, pattern) = match acl.name.strip_suffix('*') {
            Some(start) if !start.is_empty() => (start, PREFIXED),
            _ => (acl.name, LITERAL),
        };
        bytes.push(acl.resource as u8);
        text(&mut bytes, name)?;
        bytes.push(pattern);
        text(&mut bytes, acl.principal)?;
        text(&mut bytes, "*")?; // from any host
        bytes.push(acl.operation as u8);
        bytes.push(if acl.deny { DENY } else { ALLOW });
    }
    Ok(bytes)
}
