//! Turns librdkafka's error codes into errors named by the caller's reaction. Messages say what was
//! tried, on what, and what librdkafka answered.

use std::fmt::Display;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;

use crate::broker::{BrokerError, BrokerErrorKind};

/// The code of a failed call; `None` if it has not failed.
pub(super) fn failed(error: RDKafkaRespErr) -> Option<Code> {
    (error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| error.into())
}

/// The codes whose cure is known.
const KINDS: &[(BrokerErrorKind, &[Code])] = &[
    (
        BrokerErrorKind::Retriable,
        &[
            Code::AllBrokersDown,
            Code::BrokerNotAvailable,
            Code::BrokerTransportFailure,
            Code::ConcurrentTransactions,
            Code::CoordinatorLoadInProgress,
            Code::CoordinatorNotAvailable,
            // The connection that carried it was closed because its broker has another address, or is gone.
            Code::DestroyBroker,
            Code::FencedLeaderEpoch,
            Code::ISRInsufficient,
            Code::InProgress,
            Code::KafkaStorageError,
            Code::LeaderNotAvailable,
            Code::NetworkException,
            Code::NotController,
            Code::NotCoordinator,
            Code::NotEnoughReplicas,
            Code::NotEnoughReplicasAfterAppend,
            Code::NotLeaderForPartition,
            Code::OffsetNotAvailable,
            Code::OperationTimedOut,
            Code::PreviousInProgress,
            Code::QueueFull,
            Code::ReplicaNotAvailable,
            Code::RequestTimedOut,
            Code::Resolve,
            Code::Retry,
            Code::ThrottlingQuotaExceeded,
            Code::TimedOutQueue,
            Code::UnknownLeaderEpoch,
            Code::UnstableOffsetCommit,
            Code::WaitCache,
            Code::WaitingForCoordinator,
        ],
    ),
    (
        BrokerErrorKind::UnknownTopicOrPartition,
        &[
            Code::UnknownPartition,
            Code::UnknownTopic,
            Code::UnknownTopicId,
            Code::UnknownTopicOrPartition,
        ],
    ),
    (BrokerErrorKind::TopicExists, &[Code::TopicAlreadyExists]),
    (
        BrokerErrorKind::OffsetOutOfRange,
        &[Code::AutoOffsetReset, Code::LogTruncation, Code::NoOffset, Code::OffsetOutOfRange],
    ),
    (
        BrokerErrorKind::NotAMember,
        &[
            Code::AssignmentLost,
            Code::FencedInstanceId,
            Code::FencedMemberEpoch,
            Code::MemberIdRequired,
            Code::UnknownMemberId,
        ],
    ),
    (
        // KAFKA: a coordinator that does not know the member says so first.
        BrokerErrorKind::Rebalancing,
        &[Code::IllegalGeneration, Code::RebalanceInProgress, Code::StaleMemberEpoch],
    ),
    (
        // A new producer goes on: all of these end one producer with its transaction.
        BrokerErrorKind::Fenced,
        &[
            Code::Fenced,
            Code::InvalidProducerEpoch,
            Code::InvalidProducerIdMapping,
            Code::InvalidTransactionalState,
            Code::ProducerFenced,
        ],
    ),
    (
        BrokerErrorKind::RecordTooLarge,
        &[Code::InvalidMessageSize, Code::MessageBatchTooLarge, Code::MessageSizeTooLarge],
    ),
    (
        BrokerErrorKind::Authorization,
        &[
            Code::Authentication,
            Code::ClusterAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::SaslAuthenticationFailed,
            Code::TopicAuthorizationFailed,
            Code::TransactionalIdAuthorizationFailed,
        ],
    ),
    (
        BrokerErrorKind::Fatal,
        &[
            Code::BrokerDestroy,
            Code::CriticalSystemResource,
            Code::Fatal,
            Code::GaplessGuarantee,
            Code::Inconsistent,
            Code::MessageTimedOut,
            Code::OutOfOrderSequenceNumber,
            Code::PurgeInflight,
            Code::PurgeQueue,
            Code::UnknownProducerId,
        ],
    ),
];

/// How a caller reacts to this code. What is not known to pass by itself is not retried.
pub(super) fn kind_of(code: Code) -> BrokerErrorKind {
    let known = KINDS.iter().find(|(_, codes)| codes.contains(&code));
    known.map_or(BrokerErrorKind::Invalid, |(kind, _)| *kind)
}

/// The error of `what`, for example `cannot commit offsets of group shop`.
pub(super) fn broker_error(code: Code, what: impl Display) -> BrokerError {
    broker_error_with(code, what, "")
}

/// The same, where librdkafka said more than the code does.
pub(super) fn broker_error_with(code: Code, what: impl Display, detail: &str) -> BrokerError {
    let separator = if detail.is_empty() { "" } else { ": " };
    let lacks = usual_right(code).map(|right| format!("; the principal lacks {right}"));
    let message = format!("{what}{separator}{detail}{}", lacks.unwrap_or_default());
    BrokerError::new(kind_of(code), message).with_source(code)
}

/// The error of a client that cannot go on: whatever else it is, only its user's rights and another client with
/// its id say more than that.
pub(super) fn at_its_end(known: &BrokerError, code: Code) -> BrokerError {
    let kind = known.kind();
    let says_more = matches!(kind, BrokerErrorKind::Authorization | BrokerErrorKind::Fenced);
    let kind = if says_more { kind } else { BrokerErrorKind::Fatal };
    BrokerError::new(kind, known.to_string()).with_source(code)
}

/// What is missing where the call itself does not need something else: an application reads the topics that
/// it asks about.
fn usual_right(code: Code) -> Option<&'static str> {
    const RIGHTS: [(Code, &str); 4] = [
        (Code::TopicAuthorizationFailed, "READ on this topic"),
        (Code::GroupAuthorizationFailed, "READ on this group"),
        (Code::TransactionalIdAuthorizationFailed, "WRITE on this transactional id"),
        (Code::ClusterAuthorizationFailed, "IDEMPOTENT_WRITE on the cluster"),
    ];
    RIGHTS.iter().find(|(failed, _)| *failed == code).map(|(_, right)| *right)
}

/// The error of a call that needs a right of its own on a topic, for example `WRITE`.
pub(super) fn topic_error(
    code: Code,
    what: impl Display,
    detail: &str,
    (right, topic): (&str, &str),
) -> BrokerError {
    if code != Code::TopicAuthorizationFailed {
        return broker_error_with(code, what, detail);
    }
    let message = format!("{what}: the principal lacks {right} on topic {topic}");
    BrokerError::new(kind_of(code), message).with_source(code)
}

/// Fails if the call `what` has failed that needs this right on this topic.
pub(super) fn check_topic(
    error: RDKafkaRespErr,
    what: impl Display,
    detail: &str,
    needs: (&str, &str),
) -> Result<(), BrokerError> {
    failed(error).map_or(Ok(()), |code| Err(topic_error(code, what, detail, needs)))
}

/// Everything, or what is wrong: missing rights all together, so that they can be given at once.
pub(super) fn all_or_rights<T>(
    answers: impl Iterator<Item = Result<T, BrokerError>>,
) -> Result<Vec<T>, BrokerError> {
    let mut found = Vec::new();
    let mut refused: Vec<String> = Vec::new();
    for answer in answers {
        match answer {
            Ok(one) => found.push(one),
            Err(error) if error.kind() == BrokerErrorKind::Authorization => {
                refused.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    if refused.is_empty() {
        return Ok(found);
    }
    Err(BrokerError::new(BrokerErrorKind::Authorization, refused.join("; ")))
}

/// Fails if the call `what` has failed; `detail` is what librdkafka said.
pub(super) fn check(
    error: RDKafkaRespErr,
    what: impl Display,
    detail: &str,
) -> Result<(), BrokerError> {
    failed(error).map_or(Ok(()), |code| Err(broker_error_with(code, what, detail)))
}

/// The error of a client that could not be made: a property is wrong.
pub(super) fn configuration_error(error: KafkaError, what: impl Display) -> BrokerError {
    // Without the value, which may be a password.
    let message = if let KafkaError::ClientConfig(_, reason, name, _) = &error {
        format!("{what}: Kafka client property {name}: {reason}")
    } else {
        format!("{what}: {error}")
    };
    BrokerError::new(BrokerErrorKind::Invalid, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_member_is_told_apart_from_a_busy_coordinator() {
        for code in [Code::UnknownMemberId, Code::FencedInstanceId] {
            assert_eq!(kind_of(code), BrokerErrorKind::NotAMember, "{code:?}");
        }
        for code in [Code::IllegalGeneration, Code::RebalanceInProgress] {
            assert_eq!(kind_of(code), BrokerErrorKind::Rebalancing, "{code:?}");
        }
        assert_eq!(kind_of(Code::NotCoordinator), BrokerErrorKind::Retriable);
    }

    #[test]
    fn an_answer_that_is_lost_with_its_connection_is_asked_for_again() {
        for code in [Code::BrokerTransportFailure, Code::DestroyBroker] {
            assert_eq!(kind_of(code), BrokerErrorKind::Retriable, "{code:?}");
        }
    }

    #[test]
    fn a_code_without_a_known_cure_is_not_retried() {
        assert_eq!(kind_of(Code::InvalidConfig), BrokerErrorKind::Invalid);
        assert_eq!(kind_of(Code::Unknown), BrokerErrorKind::Invalid);
    }

    #[test]
    fn a_missing_right_is_named_with_its_topic() {
        let code = Code::TopicAuthorizationFailed;
        let error = topic_error(code, "cannot send", "", ("WRITE", "visits"));
        assert_eq!(error.kind(), BrokerErrorKind::Authorization);
        assert_eq!(error.to_string(), "cannot send: the principal lacks WRITE on topic visits");
        let group = broker_error(Code::GroupAuthorizationFailed, "group shop: cannot commit");
        assert_eq!(
            group.to_string(),
            "group shop: cannot commit; the principal lacks READ on this group"
        );
        let other = topic_error(Code::TimedOutQueue, "cannot send", "", ("WRITE", "visits"));
        assert!(!other.to_string().contains("WRITE"));
    }

    #[test]
    fn the_message_says_what_was_tried_and_the_source_says_why() {
        let error = broker_error(Code::TopicAlreadyExists, "cannot create topic a");
        assert_eq!(error.to_string(), "cannot create topic a");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("TopicAlreadyExists"), "{source}");
    }
}
