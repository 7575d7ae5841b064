//! Local state that is damaged, too old, or of another changelog: only the task that has it is restored anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{Broker, NewTopic, OutgoingRecord, partition_for_key};
use kstream::time::{Clock, SystemClock};
use kstream::{Headers, KafkaStreams, ProcessingGuarantee, TopicPartition};
use tempfile::TempDir;

use crate::app::{
    CHANGELOG, Counts, INPUT, OUTPUT, PARTITIONS, beginning, broker, config, copy, counting,
    counts_in, counts_of, end, length, page, produce_keys, running, wait_until_committed,
};

const KEYS: usize = 300;
/// The task whose state is damaged.
const TASK: i32 = 2;

/// What has a changelog, input that is committed, and closed state on disk.
struct World {
    broker: MemoryBroker,
    folder: TempDir,
}

impl World {
    fn new(keys: usize) -> Self {
        let world = Self { broker: broker(), folder: tempfile::tempdir().unwrap() };
        world.run(keys);
        world
    }

    /// An instance on the world's state.
    fn start(&self) -> KafkaStreams {
        running(counting(), config(self.folder.path()), self.broker.clone())
    }

    /// Runs while each of these keys comes once more.
    fn run(&self, keys: usize) {
        produce_keys(&self.broker, 0..keys);
        let mut streams = self.start();
        wait_until_committed(&self.broker, INPUT);
        streams.close().unwrap();
    }

    /// The state as it is now, in another folder.
    fn copied(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        copy(self.folder.path(), folder.path());
        folder
    }

    fn database(&self) -> PathBuf {
        database(self.folder.path())
    }

    /// Changelog records of the damaged task, and of all the others.
    fn logged(&self) -> (u64, u64) {
        let records = |partition| {
            let first = beginning(&self.broker, CHANGELOG, partition);
            self.broker.records(CHANGELOG, partition, first).unwrap().len() as u64
        };
        let others = (0..PARTITIONS).filter(|partition| *partition != TASK);
        (records(TASK), others.map(records).sum())
    }

    /// Starts an instance that has to restore so many records, deleting the state of so many tasks. What it
    /// counts from then on must be exact: `times` is how often each key has come before.
    #[track_caller]
    fn assert_restores(&self, restored: u64, deletions: u64, times: i64) {
        let mut streams = self.start();
        assert_eq!((streams.restored_records(), state_deletions(&streams)), (restored, deletions));
        produce_keys(&self.broker, 0..KEYS);
        wait_until_committed(&self.broker, INPUT);
        streams.close().unwrap();
        assert_eq!(counts_in(&self.broker, OUTPUT), counts_of(0..KEYS, times + 1));
    }
}

fn database(folder: &Path) -> PathBuf {
    folder.join(format!("app/0_{TASK}/rocksdb"))
}

fn state_deletions(streams: &KafkaStreams) -> u64 {
    let text = page(streams, "/metrics").1;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("kstream_client_state_deletions_total "));
    line.unwrap().parse().unwrap()
}

/// The files of a database whose names begin or end like this.
fn files(database: &Path, like: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(database).unwrap().map(|entry| entry.unwrap().path());
    let is_like = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(like) || name.ends_with(like)
    };
    let found: Vec<_> = files.filter(is_like).collect();
    assert!(!found.is_empty(), "no {like} in {}", database.display());
    found
}

fn flip(path: &Path, range: std::ops::Range<usize>) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[range].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_database_that_cannot_be_opened_is_restored_and_the_others_are_not() {
    let damages: [fn(&Path); 5] = [
        |database| std::fs::write(database.join("CURRENT"), "nonsense").unwrap(),
        |database| std::fs::remove_file(database.join("CURRENT")).unwrap(),
        |database| files(database, "MANIFEST").iter().for_each(|file| flip(file, 0..20)),
        |database| files(database, ".sst").iter().for_each(|file| flip(file, 0..20)),
        |database| std::fs::remove_file(&files(database, ".sst")[0]).unwrap(),
    ];
    let world = World::new(KEYS);
    for (damage, times) in damages.into_iter().zip(1..) {
        damage(&world.database());
        world.assert_restores(world.logged().0, 1, times);
    }
}

#[test]
fn rows_that_cannot_be_read_while_the_task_runs_are_restored_and_the_others_go_on() {
    for (key, count) in counts_through_damaged_rows(ProcessingGuarantee::AtLeastOnce) {
        if partition_for_key(key.as_bytes(), PARTITIONS) == TASK {
            // What the task had not committed comes again.
            assert!(count >= 2, "{key}: {count}");
        } else {
            assert_eq!(count, 2, "{key}");
        }
    }
}

#[test]
fn rows_that_cannot_be_read_while_the_task_runs_cost_one_restore_exactly_once() {
    let counts = counts_through_damaged_rows(ProcessingGuarantee::ExactlyOnceV2);
    assert!(counts.values().all(|count| *count == 2), "{counts:?}");
}

/// What comes out when a task finds damaged rows while it and three others count each key for the second time.
fn counts_through_damaged_rows(guarantee: ProcessingGuarantee) -> Counts {
    // Enough for many blocks of rows: a damaged one shows when it is read, not when the file is opened.
    const MANY: usize = 20_000;
    let world = World::new(MANY);
    for file in files(&world.database(), ".sst") {
        let length = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
        flip(&file, length / 4..length / 2);
    }
    let config = config(world.folder.path())
        .processing_guarantee(guarantee)
        .statestore_row_cache_max_bytes(0);
    let mut streams = running(counting(), config, world.broker.clone());
    assert_eq!((streams.restored_records(), state_deletions(&streams)), (0, 0));
    let logged = world.logged().0;
    produce_keys(&world.broker, 0..MANY);
    wait_until_committed(&world.broker, INPUT);
    assert_eq!(state_deletions(&streams), 1);
    assert!(streams.restored_records() >= logged);
    assert!(streams.restored_records() <= world.logged().0);
    streams.close().unwrap();
    let counts = counts_in(&world.broker, OUTPUT);
    assert_eq!(counts.len(), MANY);
    counts
}

#[test]
fn a_store_behind_the_beginning_of_its_changelog_is_restored_whole() {
    let world = World::new(KEYS);
    let old = world.copied();
    let first = end(&world.broker, CHANGELOG, TASK);
    world.run(KEYS);
    let second = end(&world.broker, CHANGELOG, TASK);
    assert_eq!(second, 2 * first, "each key was logged once in each run");
    world.broker.delete_records(&TopicPartition::new(CHANGELOG, TASK), first + 1).unwrap();
    let World { broker, .. } = world;
    let world = World { broker, folder: old };
    let (own, others) = world.logged();
    let mut streams = world.start();
    assert_eq!(own, u64::try_from(first - 1).unwrap());
    assert_eq!((streams.restored_records(), state_deletions(&streams)), (own + others / 2, 1));
    streams.close().unwrap();
}

#[test]
fn a_store_beyond_the_end_of_its_changelog_is_restored_whole() {
    let world = World::new(KEYS);
    let own = world.logged().0;
    edit_position(&world.database(), |row| {
        row[1..9].copy_from_slice(&(i64::try_from(own).unwrap() + 1).to_be_bytes());
    });
    world.assert_restores(own, 1, 1);
}

#[test]
fn a_changelog_that_was_created_anew_is_read_from_its_beginning() {
    let world = World::new(KEYS);
    let records: Vec<_> =
        (0..PARTITIONS).map(|task| world.broker.records(CHANGELOG, task, 0).unwrap()).collect();
    let admin = world.broker.admin().unwrap();
    admin.delete_topics(&[CHANGELOG]).unwrap().pop().unwrap().unwrap();
    admin
        .create_topics(&[NewTopic {
            name: CHANGELOG.to_owned(),
            partitions: PARTITIONS,
            replication_factor: -1,
            configs: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        }])
        .unwrap()
        .pop()
        .unwrap()
        .unwrap();
    // As long as the one before, so that no offset tells them apart; its rows say 41.
    let (value, headers) = (41_i64.to_be_bytes(), Headers::new());
    for (partition, records) in (0..).zip(&records) {
        for record in records {
            let (key, value) = (record.key.as_deref(), Some(&value[..]));
            let timestamp = Some(record.timestamp);
            let record = OutgoingRecord { partition, key, value, timestamp, headers: &headers };
            world.broker.produce(CHANGELOG, record).unwrap();
        }
    }
    let all = length(&world.broker, CHANGELOG);
    world.assert_restores(all, u64::try_from(PARTITIONS).unwrap(), 41);
    // From now on the rows follow the new topic.
    world.assert_restores(0, 0, 42);
}

/// Changes the position row of the store `counts` of a closed database.
fn edit_position(database: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let families = ["default", "counts"];
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), database, families).unwrap();
    let counts = db.cf_handle("counts").unwrap();
    let mut row = db.get_cf(counts, [0]).unwrap().unwrap();
    edit(&mut row);
    db.put_cf(counts, [0], row).unwrap();
    db.flush_cf(counts).unwrap();
}

fn position_row(database: &Path) -> Vec<u8> {
    let mut found = Vec::new();
    edit_position(database, |row| found.clone_from(row));
    found
}

#[test]
fn a_position_row_without_topic_is_taken_over_and_completed() {
    let world = World::new(KEYS);
    let whole = position_row(&world.database());
    assert_eq!((whole[0], whole.len()), (2, 33));
    // As builds before this one wrote it.
    edit_position(&world.database(), |row| {
        row.truncate(17);
        row[0] = 1;
    });
    world.assert_restores(0, 0, 1);
    let again = position_row(&world.database());
    assert_eq!((again[0], &again[17..]), (2, &whole[17..]), "the changelog's topic is known again");
}

#[test]
fn a_position_row_of_an_unknown_format_is_restored_whole() {
    let world = World::new(KEYS);
    edit_position(&world.database(), |row| row[0] = 3);
    world.assert_restores(world.logged().0, 1, 1);
}

/// The state after the first of two runs, said to be this old in the damaged task, with this retention of
/// tombstones.
fn left_behind(age: Duration, delete_retention: Option<&str>) -> World {
    let broker = broker();
    if let Some(retention) = delete_retention {
        let configs = [("cleanup.policy", "compact"), ("delete.retention.ms", retention)];
        let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let (name, partitions) = (CHANGELOG.to_owned(), PARTITIONS);
        let topic = NewTopic { name, partitions, replication_factor: -1, configs };
        broker.admin().unwrap().create_topics(&[topic]).unwrap().pop().unwrap().unwrap();
    }
    let world = World { broker, folder: tempfile::tempdir().unwrap() };
    world.run(KEYS);
    let old = world.copied();
    let written_at = SystemClock::new().now_ms() - i64::try_from(age.as_millis()).unwrap();
    edit_position(&database(old.path()), |row| {
        row[9..17].copy_from_slice(&written_at.to_be_bytes());
    });
    world.run(KEYS);
    World { broker: world.broker, folder: old }
}

#[test]
fn a_store_left_behind_for_longer_than_tombstones_are_kept_is_restored_whole() {
    const DAY: Duration = Duration::from_hours(24);
    let cases: BTreeMap<_, _> = [
        ("by the default", (DAY, None, true)),
        ("younger than the default", (DAY / 2, None, false)),
        ("by the topic's own", (DAY / 2, Some("3600000"), true)),
        ("younger than the topic's own", (DAY * 20, Some("2592000000"), false)),
    ]
    .into();
    for (case, (age, retention, is_too_old)) in cases {
        let world = left_behind(age, retention);
        let (own, others) = world.logged();
        // The second half is new to all; the damaged task reads its first half too.
        let restored = if is_too_old { own + others / 2 } else { own.midpoint(others) };
        let mut streams = world.start();
        let found = (streams.restored_records(), state_deletions(&streams));
        streams.close().unwrap();
        assert_eq!(found, (restored, u64::from(is_too_old)), "{case}");
    }
}

#[test]
fn an_old_store_that_missed_nothing_is_kept() {
    let world = World::new(KEYS);
    edit_position(&world.database(), |row| row[9..17].copy_from_slice(&1_i64.to_be_bytes()));
    world.assert_restores(0, 0, 1);
}
