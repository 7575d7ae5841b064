//! Asking a handler about a failure, and doing what it says.
//!
//! INVARIANT: an error that comes back from here is settled: whoever meets it on its way up passes it on.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dead_letter::default_letter;
use super::{
    DeadLetter, Decision, ErrorContext, FailedRecord, HandlerResponse, ProducedRecord, RecordPart,
    SerializationFailure, UserPanic, panic_of,
};
use crate::broker::{BrokerError, RawRecord, UndeliveredRecord};
use crate::error::{Error, ErrorKind};
use crate::processor::collector::Outgoing;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::failed_node::{Entered, take_failed_node};
use crate::record::{Headers, RecordMetadata, Timestamp};
use crate::serdes::SerdeError;

/// What a node failed with.
pub(crate) enum Failure {
    Panic(UserPanic),
    Error(Error),
}

impl Failure {
    /// What the handler sees, and what it is called in dead letters.
    fn shown(&self) -> (&'static str, &(dyn StdError + Send + Sync + 'static)) {
        match self {
            Self::Panic(panic) => ("kstream::UserPanic", panic),
            Self::Error(error) => match error.cause() {
                Some(cause) => ("dyn std::error::Error", cause),
                None => ("kstream::Error", error),
            },
        }
    }

    fn into_error(self) -> Error {
        match self {
            Self::Panic(panic) => panicked(&panic),
            Self::Error(error) => error,
        }
    }
}

/// The error of a panic that no handler decides about.
pub(crate) fn panicked(panic: &UserPanic) -> Error {
    Error::new(ErrorKind::Fatal, format!("the application's code panicked: {panic}"))
}

/// What is sent about a failure, and what is done after that.
struct Settlement {
    decision: Decision,
    letters: Vec<DeadLetter>,
}

/// Asks a handler. A panic of the handler's is an error of its own: no other handler is asked about it.
fn ask(
    dead_letter_topic: Option<&str>,
    handler: impl FnOnce() -> HandlerResponse,
    usual: impl FnOnce(String) -> DeadLetter,
) -> Result<Settlement, Error> {
    let response = catch_unwind(AssertUnwindSafe(handler)).map_err(|panic| {
        let message = format!("an error handler panicked: {}", panic_of(&*panic));
        Error::new(ErrorKind::Fatal, message).settled()
    })?;
    let letters = response.letters.unwrap_or_else(|| {
        dead_letter_topic.map(|topic| usual(topic.to_owned())).into_iter().collect()
    });
    Ok(Settlement { decision: response.decision, letters })
}

impl TaskContext {
    /// Decides about a source record that cannot be read; `Ok`: it is dropped.
    #[cold]
    pub(crate) fn deserialization_failed(
        &mut self,
        handler: &dyn super::DeserializationHandler,
        node: &str,
        raw: &RawRecord<'_>,
        error: SerdeError,
    ) -> Result<(), Error> {
        let context = ErrorContext {
            task: self.task,
            node,
            metadata: self.metadata(),
            timestamp: raw.timestamp,
            headers: &raw.headers,
            raw_key: raw.key,
            raw_value: raw.value,
        };
        let settlement = ask(
            self.collector.dead_letter_topic(),
            || handler.handle(&context, &error),
            |topic| default_letter(topic, &context, "kstream::serdes::SerdeError", &*error),
        )?;
        self.settle(&settlement, DropReason::Deserialization, || {
            let message =
                "the record cannot be read; skip such records with a handler that resumes";
            Error::new(ErrorKind::BadRecord, message).with_source(error).at_node(node)
        })
    }

    /// Decides about a record at which a node failed; `Ok`: it is dropped.
    #[cold]
    pub(crate) fn processing_failed(
        &mut self,
        node: &str,
        record: &FailedRecord<'_>,
        failure: Failure,
    ) -> Result<(), Error> {
        let Some(handler) = self.handlers.processing.clone() else {
            return Err(failure.into_error().at_node(node).settled());
        };
        let (raw_key, raw_value) = self.source_record();
        let context = ErrorContext {
            task: self.task,
            node,
            metadata: self.metadata(),
            timestamp: record.timestamp,
            headers: record.headers,
            raw_key,
            raw_value,
        };
        let (type_name, error) = failure.shown();
        let settlement = ask(
            self.collector.dead_letter_topic(),
            || handler.handle(&context, Some(record), error),
            |topic| default_letter(topic, &context, type_name, error),
        )?;
        self.settle(&settlement, DropReason::Processing, || failure.into_error().at_node(node))
    }

    /// Runs a punctuation of a node; the processing handler decides about its failure. There is no record, and
    /// no source record: the topic is null, partition and offset are −1.
    pub(crate) fn punctuate_guarded(
        &mut self,
        node: &str,
        timestamp: Timestamp,
        punctuation: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(handler) = self.handlers.processing.clone() else {
            let entered = Entered(node);
            let result = punctuation(self);
            entered.leave();
            return result.map_err(|error| error.at_node(node));
        };
        let failure = match catch_unwind(AssertUnwindSafe(|| punctuation(self))) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if !error.is_open() => return Err(error),
            Ok(Err(error)) => Failure::Error(error),
            Err(panic) => {
                take_failed_node();
                Failure::Panic(panic_of(&*panic))
            }
        };
        let context = ErrorContext {
            task: self.task,
            node,
            metadata: RecordMetadata { topic: None, partition: -1, offset: -1 },
            timestamp,
            headers: &Headers::new(),
            raw_key: None,
            raw_value: None,
        };
        let (type_name, error) = failure.shown();
        let settlement = ask(
            self.collector.dead_letter_topic(),
            || handler.handle(&context, None, error),
            |topic| default_letter(topic, &context, type_name, error),
        )?;
        self.settle(&settlement, DropReason::Processing, || failure.into_error().at_node(node))
    }

    /// Decides about a record that a sink's serdes refuse; `Ok`: it is dropped.
    #[cold]
    pub(crate) fn serialization_failed(
        &mut self,
        (node, topic): (&str, &str),
        record: &FailedRecord<'_>,
        part: RecordPart,
        error: SerdeError,
    ) -> Result<(), Error> {
        let fail = |error: SerdeError| {
            let message = format!("the {part} cannot be written to topic {topic}");
            Error::new(ErrorKind::BadRecord, message).with_source(error).at_node(node)
        };
        let Some(handler) = self.handlers.production.clone() else {
            return Err(fail(error).settled());
        };
        let (raw_key, raw_value) = self.source_record();
        let context = ErrorContext {
            task: self.task,
            node,
            metadata: self.metadata(),
            timestamp: record.timestamp,
            headers: record.headers,
            raw_key,
            raw_value,
        };
        let settlement = ask(
            self.collector.dead_letter_topic(),
            || {
                let failure = SerializationFailure { topic, part, error: &error };
                handler.handle_serialization(&context, record, &failure)
            },
            |topic| default_letter(topic, &context, "kstream::serdes::SerdeError", &*error),
        )?;
        self.settle(&settlement, DropReason::Production, || fail(error))
    }

    /// Decides about a record that the broker refuses. `Ok(true)`: it is to be sent once more; `Ok(false)`: it
    /// is dropped.
    #[cold]
    pub(crate) fn send_failed(
        &mut self,
        node: &str,
        record: &ProducedRecord<'_>,
        error: BrokerError,
    ) -> Result<bool, Error> {
        let Some(handler) = self.handlers.production.clone() else {
            return Err(Error::from(error).at_node(node).settled());
        };
        let (raw_key, raw_value) = self.source_record();
        let context = |raw_key, raw_value| ErrorContext {
            task: self.task,
            node,
            metadata: self.metadata(),
            timestamp: record.timestamp,
            headers: record.headers,
            raw_key,
            raw_value,
        };
        let settlement = ask(
            self.collector.dead_letter_topic(),
            || handler.handle(&context(raw_key, raw_value), record, &error),
            |topic| {
                // KAFKA: the letter has the bytes that did not get through, not those of the source record.
                let context = context(record.key, record.value);
                default_letter(topic, &context, "kstream::broker::BrokerError", &error)
            },
        )?;
        if settlement.decision == Decision::Retry && error.is_retriable() {
            return Ok(true);
        }
        self.settle(&settlement, DropReason::Production, || Error::from(error).at_node(node))?;
        Ok(false)
    }

    /// Decides about a record that the broker took and then refused. Where it came from is not known any more:
    /// the node is called by its topic, and there is no source record.
    #[cold]
    pub(crate) fn delivery_failed(&mut self, record: UndeliveredRecord) -> Result<(), Error> {
        let UndeliveredRecord { partition, key, value, timestamp, headers, error } = record;
        self.begin_punctuation();
        let topic = &*partition.topic;
        let (key, value) = (key.as_deref(), value.as_deref());
        let produced = ProducedRecord { topic, key, value, timestamp, headers: &headers };
        if self.send_failed(topic, &produced, error)? {
            let handle = self.collector.topic(topic)?;
            let record = Outgoing { key, value, timestamp, headers: &headers };
            self.collector.send_to(handle, partition.partition, record)?;
        }
        Ok(())
    }

    fn settle(
        &mut self,
        settlement: &Settlement,
        reason: DropReason,
        fail: impl FnOnce() -> Error,
    ) -> Result<(), Error> {
        for letter in &settlement.letters {
            self.collector.send_letter(letter).map_err(Error::settled)?;
        }
        match settlement.decision {
            Decision::Resume => {
                self.drop_record(reason);
                Ok(())
            }
            Decision::Fail | Decision::Retry => Err(fail().settled()),
        }
    }
}
