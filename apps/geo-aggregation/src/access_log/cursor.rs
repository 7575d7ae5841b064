//! Walks over the fields behind the timestamp.

use super::{AccessLogError, quoted};

/// What is left of the line.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The request's raw text and the status. They are read together because some servers do not
    /// escape quotes: a quote closes the request only where a status follows.
    pub(super) fn request_and_status(&mut self) -> Result<(&'a [u8], Option<u16>), AccessLogError> {
        let inside = self.rest.trim_ascii_start().strip_prefix(b"\"");
        let inside = inside.ok_or(AccessLogError::Request)?;
        let mut error = AccessLogError::Request;
        for end in quoted::closing_quotes(inside) {
            let (request, after) = inside.split_at(end);
            self.rest = after.get(1..).unwrap_or_default();
            match self.status() {
                Ok(status) => return Ok((request, status)),
                Err(no_status) => error = no_status,
            }
        }
        Err(error)
    }

    fn status(&mut self) -> Result<Option<u16>, AccessLogError> {
        match self.token() {
            b"-" => Ok(None),
            &[a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                let [a, b, c] = [a, b, c].map(|digit| u16::from(digit - b'0'));
                Ok(Some(a * 100 + b * 10 + c))
            }
            _ => Err(AccessLogError::Status),
        }
    }

    /// The size of the answer.
    pub(super) fn size(&mut self) -> Result<Option<u64>, AccessLogError> {
        let digits = match self.token() {
            b"-" => return Ok(None),
            b"" => return Err(AccessLogError::Size),
            digits => digits,
        };
        let add = |sum: u64, digit: &u8| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        };
        digits.iter().try_fold(0, add).map(Some).ok_or(AccessLogError::Size)
    }

    /// The next quoted field's raw text. `None` if no quote follows. A field whose closing quote is
    /// missing ends with the line: that is how a cut off line looks.
    pub(super) fn optional_field(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.trim_ascii_start();
        let Some(inside) = rest.strip_prefix(b"\"") else {
            if self.token() == b"-" {
                return Some(b"-");
            }
            self.rest = &[];
            return None;
        };
        let end = quoted::closing_quotes(inside).next().unwrap_or(inside.len());
        let (field, after) = inside.split_at(end);
        self.rest = after.get(1..).unwrap_or_default();
        Some(field)
    }

    fn token(&mut self) -> &'a [u8] {
        let rest = self.rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        self.rest = after;
        token
    }
}
