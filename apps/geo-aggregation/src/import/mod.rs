//! Import: lines of access logs go to a sink, in order, each once per run.
//!
//! Blank lines are passed over. A line that is longer than a record may be is cut; so is the memory
//! that a file without line ends can take. What the lines mean is not looked at here.

mod follow;
mod input;
mod lines;
mod producer;
mod progress;

#[cfg(test)]
mod tests;

use std::io::BufRead;
use std::path::PathBuf;

use kstream::broker::BrokerError;

pub use producer::ProducerSink;
pub use progress::Progress;

use crate::config::InputConfig;
use crate::stop::Stop;
use follow::Tail;
use input::Input;
use lines::{End, LineBuffer};

/// After this many lines the sink is served, progress shown and the request to stop looked at.
const LINES_PER_TURN: u64 = 512;

/// Where lines go.
pub trait LineSink {
    /// Takes a line without its line end. May wait until there is room for it.
    ///
    /// # Errors
    /// The sink takes no more lines.
    fn send(&mut self, line: &[u8]) -> Result<(), BrokerError>;

    /// Serves the sink; called every now and then, also while no lines come.
    ///
    /// # Errors
    /// An earlier line was lost.
    fn poll(&mut self) -> Result<(), BrokerError>;

    /// Waits until every line is safe.
    ///
    /// # Errors
    /// Some line is not.
    fn flush(&mut self) -> Result<(), BrokerError>;
}

/// An import that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A path leads to nothing.
    #[error("no file is named {0}")]
    NotFound(String),
    /// A glob is malformed.
    #[error("{pattern} is not a glob")]
    Glob {
        /// The glob.
        pattern: String,
        /// Why not.
        source: glob::PatternError,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Lines cannot be handed on.
    #[error("cannot send lines to the topic raw-page-views")]
    Sink(#[from] BrokerError),
}

/// What is to be read, all of it there and readable.
#[derive(Debug)]
pub struct Inputs {
    inputs: Vec<Input>,
    follow: bool,
}

impl Inputs {
    /// Finds the files that the user means.
    ///
    /// # Errors
    /// A path leads to nothing, or a file cannot be read.
    pub fn find(config: &InputConfig) -> Result<Self, ImportError> {
        Ok(Self { inputs: input::resolve(&config.log)?, follow: config.follow })
    }
}

/// Reads all inputs to their end, and on from there if they are to be followed, until `stop`.
///
/// # Errors
/// A file cannot be read any more, or the sink fails.
pub fn run(
    inputs: Inputs,
    sink: &mut dyn LineSink,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<(), ImportError> {
    let Inputs { inputs, follow } = inputs;
    progress.expect_bytes(&inputs);
    let mut import = Import { sink, progress, stop };
    let (followed, read_once): (Vec<Input>, Vec<Input>) =
        inputs.into_iter().partition(|input| follow && input.can_be_followed());
    for input in read_once {
        import.read_once(&input)?;
    }
    if !followed.is_empty() {
        let tails = followed.into_iter().map(|input| Tail::new(input.into_path())).collect();
        import.follow(tails)?;
    }
    import.sink.flush()?;
    import.progress.finish();
    Ok(())
}

struct Import<'a> {
    sink: &'a mut dyn LineSink,
    progress: &'a mut Progress,
    stop: &'a Stop,
}

impl Import<'_> {
    fn read_once(&mut self, input: &Input) -> Result<(), ImportError> {
        let failed = |source| ImportError::Read { path: input.path().to_owned(), source };
        let (mut reader, position) = input.open().map_err(failed)?;
        let before = self.progress.bytes();
        let mut buffer = LineBuffer::default();
        while !self.stop.is_requested() {
            let end = self.turn(&mut reader, &mut buffer, &failed)?;
            self.progress.set_bytes(before + position.bytes());
            if end == End::Input {
                return self.send(&mut buffer);
            }
        }
        Ok(())
    }

    /// Sends up to [`LINES_PER_TURN`] whole lines, then serves everybody else.
    fn turn(
        &mut self,
        reader: &mut dyn BufRead,
        buffer: &mut LineBuffer,
        failed: &dyn Fn(std::io::Error) -> ImportError,
    ) -> Result<End, ImportError> {
        let mut end = End::Line;
        for _ in 0..LINES_PER_TURN {
            end = buffer.fill(reader).map_err(failed)?;
            if end == End::Input {
                break;
            }
            self.send(buffer)?;
        }
        self.sink.poll()?;
        self.progress.show_if_due();
        Ok(end)
    }

    fn send(&mut self, buffer: &mut LineBuffer) -> Result<(), ImportError> {
        if let Some(line) = buffer.line() {
            self.sink.send(line)?;
            self.progress.add_line();
        }
        buffer.clear();
        Ok(())
    }

    fn follow(&mut self, mut tails: Vec<Tail>) -> Result<(), ImportError> {
        loop {
            let mut idle = true;
            for tail in &mut tails {
                idle &= self.follow_once(tail)?;
            }
            if self.stop.is_requested() || (idle && self.stop.wait(follow::POLL_INTERVAL)) {
                return Ok(());
            }
        }
    }

    /// One turn of a followed file; true if it had nothing new.
    fn follow_once(&mut self, tail: &mut Tail) -> Result<bool, ImportError> {
        let path = tail.path().to_owned();
        let failed = |source| ImportError::Read { path: path.clone(), source };
        let Some((reader, buffer)) = tail.reader().map_err(failed)? else {
            self.sink.poll()?;
            return Ok(true);
        };
        if self.turn(reader, buffer, &failed)? == End::Line {
            return Ok(false);
        }
        if !tail.has_been_replaced().map_err(&failed)? {
            return Ok(true);
        }
        // ORDER: what was written between the last look and the replacement is read before the new
        // file is.
        while let Some((reader, buffer)) = tail.reader().map_err(&failed)?
            && self.turn(reader, buffer, &failed)? == End::Line
        {}
        self.send(tail.last_line())?;
        tail.reopen();
        Ok(false)
    }
}
