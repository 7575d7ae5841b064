//! The timestamp `[17/May/2015:10:05:03 +0000]`: where it stands and which instant it is.

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

/// Finds the first bracketed timestamp: what stands before it, its milliseconds since the epoch,
/// and what follows it. A user's name may hold brackets, so each one is tried.
pub(super) fn find(line: &[u8]) -> Option<(&[u8], i64, &[u8])> {
    memchr::memchr_iter(b'[', line).find_map(|at| {
        let (before, bracket) = line.split_at(at);
        let inside = bracket.get(1..)?;
        let (time, after) = inside.split_at(memchr::memchr(b']', inside)?);
        Some((before, parse(time)?, after.get(1..)?))
    })
}

/// Milliseconds since the epoch of `17/May/2015:10:05:03 +0000`. The day may have one digit, the
/// seconds a fraction; the zone may be written `+0200`, `+02:00`, `+02`, `Z`, `UTC` or `GMT`.
fn parse(text: &[u8]) -> Option<i64> {
    let mut fields = Fields(text.trim_ascii());
    let day = fields.number(1, 2)?;
    fields.expect(b'/')?;
    let month = fields.month()?;
    fields.expect(b'/')?;
    let year = fields.number(4, 4)?;
    fields.expect(b':')?;
    let hour = fields.number(1, 2)?;
    fields.expect(b':')?;
    let minute = fields.number(2, 2)?;
    fields.expect(b':')?;
    let second = fields.number(2, 2)?;
    let milliseconds = fields.fraction()?;
    let offset_seconds = fields.offset_seconds()?;

    let date = Date::new(i16::try_from(year).ok()?, month, i8::try_from(day).ok()?).ok()?;
    // A leap second counts as the second before it, as in POSIX time.
    let second = i8::try_from(if second == 60 { 59 } else { second }).ok()?;
    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, second, 0).ok()?;
    let offset = Offset::from_seconds(offset_seconds).ok()?;
    let instant = offset.to_timestamp(date.to_datetime(time)).ok()?;
    instant.as_millisecond().checked_add(i64::from(milliseconds))
}

/// What is left of the timestamp's text.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// A number of `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<i32> {
        let digits = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if digits < least {
            return None;
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        Some(number.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    }

    fn month(&mut self) -> Option<i8> {
        let (name, rest) = self.0.split_first_chunk::<3>()?;
        self.0 = rest;
        let number = match &name.map(|byte| byte.to_ascii_lowercase()) {
            b"jan" => 1,
            b"feb" => 2,
            b"mar" => 3,
            b"apr" => 4,
            b"may" => 5,
            b"jun" => 6,
            b"jul" => 7,
            b"aug" => 8,
            b"sep" => 9,
            b"oct" => 10,
            b"nov" => 11,
            b"dec" => 12,
            _ => return None,
        };
        Some(number)
    }

    /// Milliseconds behind a dot or a comma; 0 without one.
    fn fraction(&mut self) -> Option<i32> {
        if self.expect(b'.').or_else(|| self.expect(b',')).is_none() {
            return Some(0);
        }
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        let padded = number.iter().copied().chain(std::iter::repeat(b'0')).take(3);
        (digits > 0).then(|| padded.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    }

    fn offset_seconds(&mut self) -> Option<i32> {
        let zone = self.0.trim_ascii_start();
        let (sign, digits) = match zone.split_first()? {
            (b'+', digits) => (1, digits),
            (b'-', digits) => (-1, digits),
            _ => return matches!(zone, b"Z" | b"UTC" | b"GMT").then_some(0),
        };
        self.0 = digits;
        let hours = self.number(2, 2)?;
        let colon = self.expect(b':');
        let minutes = match (colon, self.0.is_empty()) {
            (None, true) => 0,
            _ => self.number(2, 2)?,
        };
        (self.0.is_empty() && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}
