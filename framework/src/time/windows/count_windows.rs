//! Windows that hold a number of records instead of a span of time.

/// Windows of a number of records of a key: tumbling ones follow each other, overlapping ones begin every so many
/// records.
///
/// The records of a key are numbered from 0 in the order in which they come, whatever their timestamps; a
/// window holds those from its start, inclusive, to its end, exclusive. It is full, and closed, with its last
/// record. A window that never fills up never closes, and stays in the store.
///
/// # Errors
/// A size of zero, or an advance that is zero or larger than the size, is reported by
/// [`StreamsBuilder::build`](crate::StreamsBuilder::build).
///
/// # Examples
/// The mean of the last three measurements of each sensor:
/// ```
/// use kstream::{CountWindows, KStream, StreamsBuilder};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// let measured: KStream<String, f64> = builder.stream("measured");
/// let sums = measured.group_by_key().windowed_by(CountWindows::sliding(3)).reduce(|sum, value| sum + value);
/// let means = sums.select_key(|windowed, _| windowed.key.clone()).map_values(|sum| sum / 3.0);
/// means.to("means");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, f64>("measured");
/// for value in [1.0, 2.0, 3.0, 7.0] {
///     input.pipe("boiler".to_owned(), value)?;
/// }
/// assert_eq!(driver.output_topic::<String, f64>("means").read_values()?, [2.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// Ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountWindows {
    size: u64,
    advance: u64,
}

/// A run of records of a key, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountWindow {
    /// The number of the first record inside.
    pub start: u64,
    /// The number of the first record behind it.
    pub end: u64,
}

/// A key together with the records that a result comes from.
///
/// On topics it is the key's bytes followed by start and end, each as a big-endian `u64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountWindowed<K> {
    /// The record key.
    pub key: K,
    /// The records.
    pub window: CountWindow,
}

impl CountWindows {
    /// Tumbling windows of `size` records.
    #[must_use]
    pub fn of_size(size: u64) -> Self {
        Self { size, advance: size }
    }

    /// The last `size` records, anew with every record.
    #[must_use]
    pub fn sliding(size: u64) -> Self {
        Self { size, advance: 1 }
    }

    /// Overlapping windows: one begins every `advance` records.
    #[must_use]
    pub fn advance_by(self, advance: u64) -> Self {
        Self { advance, ..self }
    }

    /// How many records a window holds.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// After how many records the next window begins.
    pub fn advance(&self) -> u64 {
        self.advance
    }

    /// The start of the earliest window that is not full before the record of this number.
    pub(crate) fn first_open(&self, number: u64) -> u64 {
        let full = (number + 1).saturating_sub(self.size);
        full.div_ceil(self.advance.max(1)) * self.advance
    }

    /// What is wrong with the windows, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.size < 1 {
            return Some("a window must hold at least one record".to_owned());
        }
        if self.advance < 1 || self.advance > self.size {
            return Some(format!(
                "the windows advance by {} records; that must be more than zero and at most the size, {}",
                self.advance, self.size
            ));
        }
        None
    }
}
