//! The admin client: topics, their configs and their offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Shared;
use crate::broker::{
    Admin, BrokerError, CommittedOffset, GroupMemberInfo, NewTopic, TopicDescription,
};
use crate::ids::TopicPartition;

#[derive(Debug)]
pub(super) struct MemoryAdmin {
    shared: Arc<Shared>,
}

impl MemoryAdmin {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Admin for MemoryAdmin {
    fn group_members(&self, group: &str) -> Result<Vec<GroupMemberInfo>, BrokerError> {
        Ok(self.shared.group_members(group))
    }
    fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        let delete = |(name, offset): &(_, i64)| {
            self.shared.topics.partition(name)?.truncate_before(*offset)
        };
        Ok(before.iter().map(delete).collect())
    }
    fn topic_names(&self) -> Result<Vec<String>, BrokerError> {
        let topics = self.shared.topics.all();
        let mut names: Vec<_> = topics.iter().map(|topic| topic.name().to_owned()).collect();
        names.sort();
        Ok(names)
    }

    fn describe_topics(
        &self,
        topics: &[&str],
    ) -> Result<Vec<Option<TopicDescription>>, BrokerError> {
        let describe = |name: &&str| Some(self.shared.topics.find(name)?.description());
        Ok(topics.iter().map(describe).collect())
    }

    fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, String>, BrokerError> {
        Ok(self.shared.topics.get(topic)?.configs().all())
    }

    fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        Ok(topics.iter().map(|topic| self.shared.topics.create(topic)).collect())
    }

    fn delete_topics(&self, topics: &[&str]) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        Ok(topics.iter().map(|name| self.shared.delete_topic(name)).collect())
    }

    fn end_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        let end = |name| Ok(self.shared.topics.partition(name)?.end_offset());
        partitions.iter().map(end).collect()
    }

    fn beginning_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        let start = |name| Ok(self.shared.topics.partition(name)?.start_offset());
        partitions.iter().map(start).collect()
    }

    fn group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        Ok(self.shared.group_offsets(group, partitions))
    }
}
