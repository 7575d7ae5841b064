//! Cuts what is read into lines, with bounded memory.

use std::io::{self, BufRead};

/// Longer lines are cut: a Kafka broker takes records up to 1 MiB by default, key and all.
const MAX_LINE_BYTES: usize = 1_000_000;

/// What a line ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A line end: the line is whole.
    Line,
    /// The end of what can be read: more of the line may come later.
    Input,
}

/// The line that is being read.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    /// Bytes of the line read so far, those beyond the bound included.
    read_bytes: u64,
}

impl LineBuffer {
    /// Reads on to the line's end or the input's.
    pub(super) fn fill(&mut self, reader: &mut dyn BufRead) -> io::Result<End> {
        loop {
            let available = match reader.fill_buf() {
                Ok([]) => return Ok(End::Input),
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = memchr::memchr(b'\n', available);
            let (line, _) = available.split_at(end.unwrap_or(available.len()));
            let room = MAX_LINE_BYTES.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(line.get(..room).unwrap_or(line));
            let used = line.len() + usize::from(end.is_some());
            self.read_bytes += used as u64;
            reader.consume(used);
            if end.is_some() {
                return Ok(End::Line);
            }
        }
    }

    /// The line without its line end; `None` if it is blank.
    pub(super) fn line(&self) -> Option<&[u8]> {
        let line = self.bytes.strip_suffix(b"\r").unwrap_or(&self.bytes);
        (!line.trim_ascii().is_empty()).then_some(line)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Bytes read since the buffer was made or since [`LineBuffer::restart`].
    pub(super) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// Forgets the line and begins to count anew.
    pub(super) fn restart(&mut self) {
        self.bytes.clear();
        self.read_bytes = 0;
    }
}
