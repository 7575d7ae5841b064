//! What a processor of the user's sees of its task, and how it forwards.
//!
//! While a processor works on a record, the task's record clock shows that record's timestamp, also after
//! it has forwarded others.

use std::any::{Any, type_name};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::context::TaskContext;
use super::punctuation::{PunctuationType, ScheduleId};
use super::{Data, Outlet, ProcessorId};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::record::{FixedKeyRecord, Headers, Record, RecordMetadata, Timestamp};
use crate::state::StateStoreHandle;

/// What stays the same of a processor's node.
pub(crate) struct ProcessorNode {
    pub(crate) id: ProcessorId,
    pub(crate) name: String,
    pub(crate) application_id: String,
    /// The children's names, in the order of the outlet.
    pub(crate) children: Vec<String>,
    /// The stores it is connected to and all global ones, with their handles.
    pub(crate) stores: Vec<(String, Option<Rc<dyn Any>>)>,
}

/// Why a processor is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The task starts.
    Init,
    /// There is a record of this timestamp and with these headers, or a punctuation at this time.
    At(Timestamp, Headers),
}

/// A processor's view of its task: stores, clocks, schedules, and the way to its children.
///
/// # Examples
/// Counting for as long as a period lasts:
/// ```
/// use std::time::Duration;
/// use kstream::{
///     KStream, Processor, ProcessorContext, ProcessorError, PunctuationType, Record, ScheduleId,
///     StreamsBuilder, Timestamp,
/// };
/// use kstream_test_utils::TopologyTestDriver;
///
/// #[derive(Default)]
/// struct PerSecond {
///     count: i64,
/// }
///
/// impl Processor<String, String, String, i64> for PerSecond {
///     fn init(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///     ) -> Result<(), ProcessorError> {
///         context.schedule(Duration::from_secs(1), PunctuationType::WallClockTime)?;
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         _: &mut ProcessorContext<'_, String, i64>,
///         _: Record<String, String>,
///     ) -> Result<(), ProcessorError> {
///         self.count += 1;
///         Ok(())
///     }
///
///     fn punctuate(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///         _: ScheduleId,
///         timestamp: Timestamp,
///     ) -> Result<(), ProcessorError> {
///         let count = std::mem::take(&mut self.count);
///         context.forward(Record::new("views".to_owned(), count, timestamp))?;
///         Ok(())
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// let views: KStream<String, String> = builder.stream("views");
/// views.process(PerSecond::default).to("rates");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("views");
/// input.pipe("ann".to_owned(), "/".to_owned())?;
/// input.pipe("bob".to_owned(), "/".to_owned())?;
/// driver.advance_wall_clock_time(Duration::from_secs(1))?;
/// driver.advance_wall_clock_time(Duration::from_secs(1))?;
/// let rates = driver.output_topic::<String, i64>("rates").read_values()?;
/// assert_eq!(rates, [2, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.processor.api.ProcessorContext`.
pub struct ProcessorContext<'a, K, V> {
    pub(crate) task: &'a mut TaskContext,
    pub(crate) node: &'a ProcessorNode,
    pub(crate) next: &'a Outlet<K, V>,
    pub(crate) occasion: Occasion,
}

/// A fixed-key processor's view of its task: [`ProcessorContext`], except that it only forwards records with
/// the key that they came with.
///
/// # Source
/// `org.apache.kafka.streams.processor.api.FixedKeyProcessorContext`.
pub struct FixedKeyProcessorContext<'a, K, V>(pub(crate) ProcessorContext<'a, K, V>);

impl<'a, K: Data, V: Data> ProcessorContext<'a, K, V> {
    pub(crate) fn new(
        task: &'a mut TaskContext,
        node: &'a ProcessorNode,
        next: &'a Outlet<K, V>,
        occasion: Occasion,
    ) -> Self {
        let context = Self { task, node, next, occasion };
        context.set_clock();
        context
    }

    /// Sends a record to all children; when it returns, they have handled it.
    ///
    /// # Errors
    /// What a node further down fails with: give it on with `?`.
    pub fn forward(&mut self, record: Record<K, V>) -> Result<(), Error> {
        let forwarded = self.next.forward(self.task, record);
        self.set_clock();
        forwarded
    }

    /// Sends a record to the child of this name only.
    ///
    /// # Errors
    /// A name that no child has, or what a node further down fails with: give it on with `?`.
    pub fn forward_to(&mut self, child: &str, record: Record<K, V>) -> Result<(), Error> {
        let Some(place) = self.node.children.iter().position(|name| name == child) else {
            return Err(self.no_child(child));
        };
        let forwarded = self.next.forward_to(place, self.task, record);
        self.set_clock();
        forwarded
    }

    fn set_clock(&self) {
        if let Occasion::At(timestamp, headers) = &self.occasion {
            self.task.record_clock.set(*timestamp);
            self.task.record_clock.set_headers(headers.clone());
        }
    }

    #[cold]
    fn no_child(&self, child: &str) -> Error {
        let children = self.node.children.join(", ");
        let message = format!("there is no child {child} to forward to; there are: {children}");
        Error::new(ErrorKind::Config, message).at_node(&self.node.name)
    }

    fn find_store<S: StateStoreHandle>(&self, name: &str) -> Result<S, Error> {
        let refused = |problem: String| {
            let message = format!("store {name} {problem}");
            Error::new(ErrorKind::Config, message).at_node(&self.node.name)
        };
        let Some((_, handle)) = self.node.stores.iter().find(|(store, _)| store == name) else {
            let names: Vec<_> = self.node.stores.iter().map(|(name, _)| name.as_str()).collect();
            return Err(refused(format!(
                "is not connected to the processor; give its name where the processor is added (connected are: {})",
                names.join(", ")
            )));
        };
        let handle = handle.as_ref().and_then(|handle| handle.downcast_ref::<S>());
        handle.cloned().ok_or_else(|| {
            refused(format!("is not a {}; ask for it as it was built", type_name::<S>()))
        })
    }

    fn add_schedule(
        &mut self,
        first: Timestamp,
        interval: Duration,
        kind: PunctuationType,
    ) -> Result<ScheduleId, Error> {
        let interval = milliseconds(interval);
        if interval < 1 {
            let message = "a schedule needs an interval of at least one millisecond";
            return Err(Error::new(ErrorKind::Config, message).at_node(&self.node.name));
        }
        Ok(self.task.punctuations.schedule(self.node.id, kind, first, interval))
    }
}

impl<K: Data, V: Data> FixedKeyProcessorContext<'_, K, V> {
    /// See [`ProcessorContext::forward`].
    ///
    /// # Errors
    /// What a node further down fails with: give it on with `?`.
    pub fn forward(&mut self, record: FixedKeyRecord<K, V>) -> Result<(), Error> {
        self.0.forward(record.into_record())
    }

    /// See [`ProcessorContext::forward_to`].
    ///
    /// # Errors
    /// A name that no child has, or what a node further down fails with: give it on with `?`.
    pub fn forward_to(&mut self, child: &str, record: FixedKeyRecord<K, V>) -> Result<(), Error> {
        self.0.forward_to(child, record.into_record())
    }
}

/// The methods that both contexts have.
macro_rules! context_methods {
    ($type:ident, $this:ident => $inner:expr) => {
        impl<K: Data, V: Data> $type<'_, K, V> {
            /// A handle on a store: one that the processor is connected to, or any global store. Look it up
            /// in `init` and keep it.
            ///
            /// # Errors
            /// A name that is not connected, or a handle of another type than the store's.
            pub fn store<S: StateStoreHandle>(&self, name: &str) -> Result<S, Error> {
                let $this = self;
                $inner.find_store(name)
            }

            /// Asks for a call of `punctuate` at intervals, until the schedule is cancelled. In stream
            /// time the first call comes with the next record, then when stream time reaches the next multiple of the
            /// interval; by the wall clock it comes after one interval. Times that are missed are made up
            /// by one call.
            ///
            /// # Errors
            /// An interval of less than a millisecond.
            pub fn schedule(
                &mut self,
                interval: Duration,
                kind: PunctuationType,
            ) -> Result<ScheduleId, Error> {
                let $this = self;
                let first = match kind {
                    PunctuationType::StreamTime => 0,
                    PunctuationType::WallClockTime => {
                        $inner.task.wall_clock.saturating_add(milliseconds(interval))
                    }
                };
                $inner.add_schedule(first, interval, kind)
            }

            /// [`schedule`](Self::schedule) with the time of the first call; those after it follow in
            /// whole intervals from there.
            ///
            /// # Errors
            /// An interval of less than a millisecond.
            ///
            /// # Source
            /// KIP-1146.
            pub fn schedule_at(
                &mut self,
                first: SystemTime,
                interval: Duration,
                kind: PunctuationType,
            ) -> Result<ScheduleId, Error> {
                let $this = self;
                let first = match first.duration_since(UNIX_EPOCH) {
                    Ok(after) => milliseconds(after),
                    Err(before) => -milliseconds(before.duration()),
                };
                $inner.add_schedule(first, interval, kind)
            }

            /// Makes no more calls for a schedule.
            pub fn cancel(&mut self, schedule: ScheduleId) {
                let $this = self;
                $inner.task.punctuations.cancel(schedule);
            }

            /// Asks for a commit soon after this record, before the commit interval is over.
            pub fn commit(&mut self) {
                let $this = self;
                $inner.task.commit_requested = true;
            }

            /// Where the present record came from; without a topic in a punctuation, `None` in `init`.
            pub fn record_metadata(&self) -> Option<RecordMetadata> {
                let $this = self;
                match $inner.occasion {
                    Occasion::Init => None,
                    Occasion::At(..) => Some($inner.task.metadata()),
                }
            }

            /// The highest timestamp of the task's records so far, the present one included; −1 before
            /// the first.
            pub fn current_stream_time_ms(&self) -> Timestamp {
                let $this = self;
                $inner.task.stream_time
            }

            /// The wall clock, as it was when the task began to process the records at hand.
            pub fn current_system_time_ms(&self) -> Timestamp {
                let $this = self;
                $inner.task.wall_clock
            }

            /// The application id.
            pub fn application_id(&self) -> &str {
                let $this = self;
                &$inner.node.application_id
            }

            /// The task.
            pub fn task_id(&self) -> TaskId {
                let $this = self;
                $inner.task.task
            }

            /// The processor's name in the topology.
            pub fn node_name(&self) -> &str {
                let $this = self;
                &$inner.node.name
            }
        }

        impl<K, V> std::fmt::Debug for $type<'_, K, V> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $this = self;
                f.debug_struct(stringify!($type))
                    .field("task", &$inner.task.task)
                    .field("node", &$inner.node.name)
                    .finish_non_exhaustive()
            }
        }
    };
}

context_methods!(ProcessorContext, this => this);
context_methods!(FixedKeyProcessorContext, this => this.0);

/// A duration in milliseconds, as far as they fit.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
