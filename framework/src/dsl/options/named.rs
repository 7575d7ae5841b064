//! A name for an operator.

/// Names an operator: its node, and what is named after it.
///
/// # Examples
/// ```
/// use kstream::{KStream, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let views: KStream<String, String> = builder.stream("views");
/// views.filter_with(|_, page| page != "/health", "drop-health-checks").to("real-views");
/// assert!(builder.build()?.describe().to_string().contains("Processor: drop-health-checks"));
/// # Ok::<(), kstream::TopologyErrors>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.kstream.Named`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named(pub(crate) Option<String>);

impl Named {
    /// This name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Some(name.into()))
    }
}

impl From<&str> for Named {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Named {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}
