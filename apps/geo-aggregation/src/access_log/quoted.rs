//! Quoted fields: where they end, and what their escapes stand for.

use std::borrow::Cow;

/// Positions in `inside` (the text behind an opening quote) where the field may end: quotes that no
/// backslash escapes and that a blank or the line's end follows.
pub(super) fn closing_quotes(inside: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memchr::memchr_iter(b'"', inside).filter(|&at| {
        let followed = inside.get(at + 1).is_none_or(u8::is_ascii_whitespace);
        followed && !is_escaped(inside, at)
    })
}

/// Whether an odd number of backslashes stands before `at`.
fn is_escaped(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The field's text; `None` for `-` and for nothing.
pub(super) fn value(raw: &[u8]) -> Option<Cow<'_, str>> {
    (!raw.is_empty() && raw != b"-").then(|| unescape(raw))
}

/// The bytes as text; what is not UTF-8 is replaced.
pub(super) fn text(raw: &[u8]) -> Cow<'_, str> {
    // Nearly all text is valid, and checking alone is several times faster than mending.
    std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed)
}

/// Resolves `\"`, `\\`, the C escapes and `\xHH`; anything else after a backslash stays as it is.
pub(super) fn unescape(raw: &[u8]) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw) else {
        return text(raw);
    };
    let (plain, mut rest) = raw.split_at(first);
    let mut bytes = plain.to_vec();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
        } else if let Some((resolved, after)) = escape(rest) {
            bytes.push(resolved);
            rest = after;
        } else {
            bytes.push(b'\\');
        }
    }
    Cow::Owned(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// The byte that an escape stands for, and what follows it.
fn escape(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (&kind, after) = rest.split_first()?;
    let byte = match kind {
        b'"' | b'\\' => kind,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'f' => 0x0c,
        b'v' => 0x0b,
        b'x' => {
            let (&[high, low], after) = after.split_first_chunk::<2>()?;
            return Some((hex(high)? * 16 + hex(low)?, after));
        }
        _ => return None,
    };
    Some((byte, after))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
