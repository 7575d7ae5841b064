//! Which files the user meant, and how each is read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::ImportError;

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 * 1024;

const STDIN: &str = "-";

/// Something to read lines from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// Standard input.
    Stdin,
    /// A file of lines.
    Plain(PathBuf),
    /// A gzip file of lines.
    Gzip(PathBuf),
}

/// How far an input has been read, in bytes as they are on disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Position(Rc<Cell<u64>>);

impl Position {
    pub(super) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// Files by path or glob, in the order given, each glob's in the order of names. Every file is
/// opened once, so that one that cannot be read is known before the first line is sent.
pub(super) fn resolve(paths: &[String]) -> Result<Vec<Input>, ImportError> {
    let mut inputs = Vec::new();
    for path in paths {
        if path == STDIN {
            inputs.push(Input::Stdin);
        } else if Path::new(path).exists() {
            inputs.push(Input::of(PathBuf::from(path)));
        } else {
            inputs.extend(matches(path)?);
        }
    }
    for input in &inputs {
        input
            .open()
            .map_err(|source| ImportError::Read { path: input.path().to_owned(), source })?;
    }
    Ok(inputs)
}

fn matches(pattern: &str) -> Result<Vec<Input>, ImportError> {
    let paths = glob::glob(pattern)
        .map_err(|source| ImportError::Glob { pattern: pattern.to_owned(), source })?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| ImportError::Read {
            path: error.path().to_owned(),
            source: error.into(),
        })?;
        if path.is_file() {
            found.push(Input::of(path));
        }
    }
    if found.is_empty() {
        return Err(ImportError::NotFound(pattern.to_owned()));
    }
    Ok(found)
}

impl Input {
    fn of(path: PathBuf) -> Self {
        if path.extension().is_some_and(|extension| extension == "gz") {
            Self::Gzip(path)
        } else {
            Self::Plain(path)
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Stdin => Path::new(STDIN),
            Self::Plain(path) | Self::Gzip(path) => path,
        }
    }

    pub(super) fn into_path(self) -> PathBuf {
        match self {
            Self::Stdin => STDIN.into(),
            Self::Plain(path) | Self::Gzip(path) => path,
        }
    }

    /// Whether more may be appended to it: gzip files are finished, and standard input says itself
    /// when it ends.
    pub(super) fn can_be_followed(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Its bytes on disk; `None` if nobody can know.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::Plain(path) | Self::Gzip(path) => {
                path.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len())
            }
        }
    }

    pub(super) fn open(&self) -> io::Result<(Box<dyn BufRead>, Position)> {
        let position = Position::default();
        let count = |inner: Box<dyn Read>| Counted { inner, position: position.clone() };
        let reader: Box<dyn BufRead> = match self {
            Self::Stdin => {
                Box::new(BufReader::with_capacity(READ_BYTES, count(Box::new(io::stdin()))))
            }
            Self::Plain(path) => {
                let file = open_file(path)?;
                Box::new(BufReader::with_capacity(READ_BYTES, count(Box::new(file))))
            }
            Self::Gzip(path) => {
                let file = count(Box::new(open_file(path)?));
                let members = MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, file));
                Box::new(BufReader::with_capacity(READ_BYTES, members))
            }
        };
        Ok((reader, position))
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Counts what passes.
struct Counted {
    inner: Box<dyn Read>,
    position: Position,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.position.0.set(self.position.0.get() + read as u64);
        Ok(read)
    }
}
