//! The records of the coordination log, `<application id>-coordination`: one partition, compacted.
//!
//! | key | written by | value |
//! |---|---|---|
//! | `member/<process id>` | that process: when it joins, and when what it says changes | [`MemberRecord`] |
//! | `assignment` | the leader | [`AssignmentRecord`] |
//! | `released/<task>` | who had the task | [`ReleasedRecord`] |
//! | `plan` | the leader | [`PlanRecord`] |
//!
//! Values are JSON with a version. What always holds: a field that is not known is skipped, so fields may
//! be added; a record of a later version is refused, and so is one that cannot be read, because whoever
//! acted without it might run a task that is another's.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ids::{MemberId, ProcessId};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;

/// The version that this program writes.
const VERSION: u32 = 1;

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct MemberRecord {
    /// Which of its lives this is about; what it held in earlier ones is void.
    pub(super) member_id: MemberId,
    pub(super) threads: usize,
    /// Where its HTTP server listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<String>,
    /// Where it runs, for example its rack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
    /// The sub-topologies that it runs, by number.
    pub(super) subtopologies: BTreeMap<u32, SubtopologyRecord>,
    /// Its topology, as it goes with committed offsets.
    pub(super) fingerprint: String,
    /// What its producers begin transactions with.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) transactional_ids: BTreeSet<String>,
    /// For each task with state on its disk: the changelog records that it lacks.
    #[serde(default, with = "by_task", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) lags: BTreeMap<TaskId, u64>,
    /// It has released everything and goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) left: bool,
    /// It asks all members that run to stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) shutdown: bool,
}

/// A sub-topology as a process runs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct SubtopologyRecord {
    /// The topics that it reads, with their numbers of partitions.
    pub(super) topics: BTreeMap<String, i32>,
    /// Whether its tasks have stores.
    pub(super) stateful: bool,
}

impl SubtopologyRecord {
    /// How many tasks it has.
    pub(super) fn tasks(&self) -> i32 {
        self.topics.values().copied().max().unwrap_or(0)
    }
}

/// Who runs what. Every task is in exactly one member's `active`, or in `waiting`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct AssignmentRecord {
    /// Grows with each assignment.
    pub(super) epoch: u64,
    pub(super) members: BTreeMap<ProcessId, Share>,
    /// Tasks that nobody may run.
    #[serde(default, with = "by_task", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) waiting: BTreeMap<TaskId, Waiting>,
    /// Transactional ids of members that the group dropped while they had the task.
    #[serde(default, with = "by_task", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) orphans: BTreeMap<TaskId, BTreeSet<String>>,
}

/// A member's part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Share {
    /// The life of the process that this is granted to.
    pub(super) member_id: MemberId,
    #[serde(default, with = "task_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) active: BTreeSet<TaskId>,
    #[serde(default, with = "task_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) standby: BTreeSet<TaskId>,
    #[serde(default, with = "task_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) warm_up: BTreeSet<TaskId>,
}

/// A task that nobody may run now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Who has to release it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Holder>,
    /// Who shall have it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<ProcessId>,
}

/// Who has a task that is taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) process: ProcessId,
    pub(super) member_id: MemberId,
    /// The epoch at which the task was taken from it.
    pub(super) since: u64,
}

/// The old owner has closed a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReleasedRecord {
    pub(super) member_id: MemberId,
    /// The assignment that it has followed.
    pub(super) epoch: u64,
}

/// What the members together run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct PlanRecord {
    pub(super) subtopologies: BTreeMap<u32, SubtopologyRecord>,
    /// Members that get nothing, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) refused: BTreeMap<ProcessId, Refusal>,
}

/// Why a member gets nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) member_id: MemberId,
    pub(super) reasons: Vec<String>,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Member(ProcessId),
    Assignment,
    Released(TaskId),
    Plan,
}

impl Key {
    pub(super) fn text(self) -> String {
        match self {
            Self::Member(process) => format!("member/{process}"),
            Self::Assignment => "assignment".to_owned(),
            Self::Released(task) => format!("released/{task}"),
            Self::Plan => "plan".to_owned(),
        }
    }

    /// `None`: a record that a later version has added, which this one does without.
    pub(super) fn read(key: &[u8]) -> Option<Self> {
        let text = str::from_utf8(key).ok()?;
        match text.split_once('/') {
            Some(("member", process)) => process.parse().ok().map(Self::Member),
            Some(("released", task)) => parse_task(task).map(Self::Released),
            Some(_) => None,
            None if text == "assignment" => Some(Self::Assignment),
            None => (text == "plan").then_some(Self::Plan),
        }
    }
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    body: &'a T,
}

/// A record's value.
pub(super) fn write<T: Serialize>(body: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(&Versioned { version: VERSION, body }).map_err(|error| {
        Error::new(ErrorKind::Fatal, "a coordination record cannot be written").with_source(error)
    })
}

/// Reads a value; `what` names the record.
pub(super) fn read<T: DeserializeOwned>(value: &[u8], what: &str) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let unreadable = |error| {
        let message = format!(
            "record {what} of the coordination log cannot be read; if something else has written to the topic, \
             stop all instances and delete it"
        );
        Error::new(ErrorKind::Config, message).with_source(error)
    };
    let Version { version } = serde_json::from_slice(value).map_err(unreadable)?;
    if version > VERSION {
        let message = format!(
            "record {what} of the coordination log has version {version}, which a later version of this library \
             writes; this one reads up to {VERSION}: stop these instances before those are started"
        );
        return Err(Error::new(ErrorKind::Config, message));
    }
    serde_json::from_slice(value).map_err(unreadable)
}

fn parse_task(text: &str) -> Option<TaskId> {
    let (subtopology, partition) = text.split_once('_')?;
    let task =
        TaskId { subtopology: subtopology.parse().ok()?, partition: partition.parse().ok()? };
    (task.to_string() == text).then_some(task)
}

/// A task as JSON has it: `0_3`.
fn task_of<E: serde::de::Error>(text: &str) -> Result<TaskId, E> {
    parse_task(text).ok_or_else(|| E::custom(format!("{text:?} is no task")))
}

/// Maps by task.
mod by_task {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::task_of;
    use crate::ids::TaskId;

    pub(super) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<TaskId, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(task, value)| (task.to_string(), value)))
    }

    pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TaskId, V>, D::Error> {
        let map = BTreeMap::<String, V>::deserialize(deserializer)?;
        map.into_iter().map(|(task, value)| Ok((task_of(&task)?, value))).collect()
    }
}

/// Sets of tasks.
mod task_set {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::task_of;
    use crate::ids::TaskId;

    pub(super) fn serialize<S: Serializer>(
        set: &BTreeSet<TaskId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(set.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<TaskId>, D::Error> {
        let tasks = Vec::<String>::deserialize(deserializer)?;
        tasks.iter().map(|task| task_of(task)).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn process(number: u128) -> ProcessId {
        ProcessId::new(Uuid::from_u128(number))
    }

    const TASK: TaskId = TaskId { subtopology: 0, partition: 3 };

    #[test]
    fn keys_read_back_and_unknown_ones_are_skipped() {
        let keys = [Key::Member(process(7)), Key::Assignment, Key::Released(TASK), Key::Plan];
        for key in keys {
            assert_eq!(Key::read(key.text().as_bytes()), Some(key));
        }
        for other in ["", "members", "member/x", "released/03_1", "released/0_+3", "news/1", "Plan"]
        {
            assert_eq!(Key::read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Key::read(&[0xff]), None);
    }

    #[test]
    fn an_assignment_is_short_and_readable() {
        let share =
            Share { member_id: MemberId::new("m-1"), active: [TASK].into(), ..Share::default() };
        let from = Some(Holder { process: process(1), member_id: MemberId::new("m-1"), since: 8 });
        let waiting = Waiting { from, next: None };
        let record = AssignmentRecord {
            epoch: 9,
            members: [(process(1), share)].into(),
            waiting: [(TaskId { subtopology: 1, partition: 0 }, waiting)].into(),
            orphans: BTreeMap::new(),
        };
        let text = write(&record).unwrap();
        let id = "00000000-0000-0000-0000-000000000001";
        let expected = format!(
            r#"{{"version":1,"epoch":9,"members":{{"{id}":{{"member_id":"m-1","active":["0_3"]}}}},"waiting":{{"1_0":{{"from":{{"process":"{id}","member_id":"m-1","since":8}}}}}}}}"#
        );
        assert_eq!(str::from_utf8(&text).unwrap(), expected);
        assert_eq!(read::<AssignmentRecord>(&text, "assignment").unwrap(), record);
    }

    #[test]
    fn fields_of_later_versions_are_skipped() {
        let text = br#"{"version":1,"member_id":"m","epoch":4,"mood":"good"}"#;
        let expected = ReleasedRecord { member_id: MemberId::new("m"), epoch: 4 };
        assert_eq!(read::<ReleasedRecord>(text, "released/0_0").unwrap(), expected);
    }

    #[test]
    fn a_record_of_a_later_version_is_refused_by_name() {
        let error = read::<PlanRecord>(br#"{"version":2}"#, "plan").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        assert!(text.contains("plan") && text.contains("version 2"), "{text}");
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["", "x", "[]", "{}", r#"{"version":1}"#] {
            let result = read::<AssignmentRecord>(text.as_bytes(), "assignment");
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Config, "{text}");
        }
    }
}
