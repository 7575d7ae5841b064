//! Follows a file under its name like `tail -F`: through appending, truncation and rotation.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lines::LineBuffer;

/// How often an idle file is looked at.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A followed file.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    buffer: LineBuffer,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, reader: None, buffer: LineBuffer::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where to read on; `None` while there is no file under the name.
    pub(super) fn reader(&mut self) -> io::Result<Option<(&mut BufReader<File>, &mut LineBuffer)>> {
        if self.reader.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.reader = Some(BufReader::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.rewind_if_truncated()?;
        Ok(self.reader.as_mut().map(|reader| (reader, &mut self.buffer)))
    }

    /// A file that is shorter than what was read from it has been written anew.
    fn rewind_if_truncated(&mut self) -> io::Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        if reader.get_ref().metadata()?.len() < self.buffer.read_bytes() {
            reader.seek(SeekFrom::Start(0))?;
            self.buffer.restart();
        }
        Ok(())
    }

    /// Whether another file has the name now. While none has it, the old one stays open: its writer
    /// may not have noticed yet.
    pub(super) fn has_been_replaced(&self) -> io::Result<bool> {
        let Some(reader) = &self.reader else { return Ok(false) };
        let ours = reader.get_ref().metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) => Ok(identity(&named) != identity(&ours)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The replaced file's last line, which nobody will end any more.
    pub(super) fn last_line(&mut self) -> &mut LineBuffer {
        &mut self.buffer
    }

    /// Begins with the file that has the name now.
    pub(super) fn reopen(&mut self) {
        self.reader = None;
        self.buffer.restart();
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
