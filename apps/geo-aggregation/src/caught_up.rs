//! When a group has processed everything that is in its topics.

use kstream::broker::{Admin, BrokerError};

use crate::topics;

/// Whether the group has committed its offsets up to the ends of these topics. A stage commits only
/// when what it made of the records is safe, so what it writes to is complete by then.
///
/// # Errors
/// The broker is away, or a topic does not exist.
pub fn is_caught_up(admin: &dyn Admin, group: &str, read: &[String]) -> Result<bool, BrokerError> {
    for topic in read {
        let partitions = topics::partitions_of(admin, topic)?;
        let starts = admin.beginning_offsets(&partitions)?;
        let ends = admin.end_offsets(&partitions)?;
        let committed = admin.group_offsets(group, &partitions)?;
        let behind = starts.iter().zip(&ends).zip(&committed).any(|((start, end), committed)| {
            committed.as_ref().map_or(*start, |committed| committed.offset) < *end
        });
        if behind {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use kstream::broker::memory::MemoryBroker;
    use kstream::broker::{
        Broker as _, CommittedOffset, GroupEvent, GroupSettings, OutgoingRecord,
    };
    use kstream::time::SystemClock;
    use kstream::{Headers, TopicPartition};

    use super::*;

    const TOPIC: &str = "t";

    fn produce(broker: &MemoryBroker) {
        let record = OutgoingRecord {
            partition: 0,
            key: None,
            value: Some(b"v"),
            timestamp: None,
            headers: &Headers::new(),
        };
        broker.produce(TOPIC, record).unwrap();
    }

    #[test]
    fn group_is_caught_up_when_its_offsets_are_the_ends() {
        let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
        broker.create_topic(TOPIC, 2).unwrap();
        let admin = broker.admin().unwrap();
        assert!(is_caught_up(&*admin, "g", &[TOPIC.to_owned()]).unwrap());
        produce(&broker);
        assert!(!is_caught_up(&*admin, "g", &[TOPIC.to_owned()]).unwrap());

        let second = Duration::from_secs(1);
        let settings = GroupSettings {
            group_id: "g".to_owned(),
            client_id: "c".to_owned(),
            session_timeout: second * 30,
            heartbeat_interval: second,
            max_poll_interval: second * 60,
        };
        let member = broker.group_member(&settings).unwrap();
        member.subscribe(&[TOPIC.to_owned()]).unwrap();
        while !matches!(member.poll(second).unwrap(), Some(GroupEvent::Assigned(_))) {}
        member.acknowledge().unwrap();
        let next = CommittedOffset { offset: 1, metadata: String::new() };
        member.commit(&[(TopicPartition::new(TOPIC, 0), next)]).unwrap();
        assert!(is_caught_up(&*admin, "g", &[TOPIC.to_owned()]).unwrap());
        produce(&broker);
        assert!(!is_caught_up(&*admin, "g", &[TOPIC.to_owned()]).unwrap());
    }
}
