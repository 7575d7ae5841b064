//! Where and how records are printed.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the lines go, and what they look like: `[label]: key, value`.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Printed`.
pub struct Printed<K, V> {
    pub(crate) target: Target,
    pub(crate) name: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) mapper: Option<Text<K, V>>,
}

/// Makes a line of a record.
pub(crate) type Text<K, V> = Arc<dyn Fn(&K, &V) -> String + Send + Sync>;

impl<K, V> Printed<K, V> {
    /// Prints to standard output.
    pub fn to_stdout() -> Self {
        Self::to_writer(io::stdout())
    }

    /// Prints to a file, which is emptied first. A file that cannot be opened is logged when the first record
    /// is printed.
    pub fn to_file(path: impl AsRef<Path>) -> Self {
        match File::create(path.as_ref()) {
            Ok(file) => Self::to_writer(file),
            Err(error) => Self::to_writer(Unopened(error.kind())),
        }
    }

    /// Prints to `writer`; the tasks take turns.
    pub fn to_writer(writer: impl Write + Send + 'static) -> Self {
        let target = Target { writer: Arc::new(Mutex::new(writer)), failed: Arc::default() };
        Self { target, name: None, label: None, mapper: None }
    }

    /// The text in brackets; by default the name of the node that is printed.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What stands behind the label; by default key and value as their `Debug` prints them.
    #[must_use]
    pub fn with_key_value_mapper(
        mut self,
        mapper: impl Fn(&K, &V) -> String + Send + Sync + 'static,
    ) -> Self {
        self.mapper = Some(Arc::new(mapper));
        self
    }

    /// Names the printing node.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl<K, V> fmt::Debug for Printed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printed")
            .field("name", &self.name)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

/// Takes lines from all tasks.
#[derive(Clone)]
pub(crate) struct Target {
    /// Held while one line is written; no user code runs under it but the writer.
    writer: Arc<Mutex<dyn Write + Send>>,
    /// Whether a failure has been logged.
    failed: Arc<AtomicBool>,
}

impl Target {
    pub(crate) fn line(&self, label: &str, text: &str) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writeln!(writer, "[{label}]: {text}").and_then(|()| writer.flush());
        drop(writer);
        if let Err(error) = written
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::error!(label, %error, "records cannot be printed");
        }
    }
}

/// A file that could not be opened.
struct Unopened(io::ErrorKind);

impl Write for Unopened {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}
