//! The error handlers that recordings have of their own.

use std::error::Error;

use kstream::{
    DeadLetter, ErrorContext, FailedRecord, HandlerResponse, ProcessingHandler, ProductionHandler,
    RecordPart, SerializationFailure,
};

use super::{Text, shown};

const LETTERS: &str = "custom-dlq";

/// Resumes; the letter has the source record's key, and says where and at what the node failed.
#[derive(Debug)]
pub(crate) struct DlqHandler;

impl ProcessingHandler for DlqHandler {
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        record: Option<&FailedRecord<'_>>,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> HandlerResponse {
        let value = record.and_then(FailedRecord::value::<Text>).cloned().flatten();
        let topic = context.metadata.topic.as_deref().unwrap_or("null");
        let text = format!("{}|{topic}|{error}|{}", context.node, shown(&value));
        let key = context.raw_key.map(<[u8]>::to_vec);
        let letter = DeadLetter::new(LETTERS, key, Some(text.into_bytes()));
        HandlerResponse::resume().with_dead_letters([letter.with_timestamp(context.timestamp)])
    }
}

/// Resumes where a serde refuses a record; the letter has the record's key, and says which part it was.
#[derive(Debug)]
pub(crate) struct ProductionContinue;

impl ProductionHandler for ProductionContinue {
    fn handle_serialization(
        &self,
        context: &ErrorContext<'_>,
        record: &FailedRecord<'_>,
        failure: &SerializationFailure<'_>,
    ) -> HandlerResponse {
        let key = record.key::<Text>().map_or("null", shown);
        let origin = match failure.part {
            RecordPart::Key => "KEY",
            RecordPart::Value => "VALUE",
        };
        let text = format!("{origin}|{}", failure.topic);
        let letter = DeadLetter::new(LETTERS, Some(key.into()), Some(text.into_bytes()));
        HandlerResponse::resume().with_dead_letters([letter.with_timestamp(context.timestamp)])
    }
}
