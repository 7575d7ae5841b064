//! The table "Kafka Streams → kstream" of the documentation: it has each Java method, and no name that does
//! not exist. That each name belongs to the type that it is written with is checked by `cargo doc`, whose
//! links they are.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../docs/kafka-streams.md");

/// The interfaces and their methods, Apache Kafka 4.3.
const JAVA: &[(&str, &str)] = &[
    ("StreamsBuilder", "stream table globalTable addStateStore addGlobalStore build"),
    (
        "KStream",
        "filter filterNot selectKey map mapValues flatMap flatMapValues print foreach peek split merge repartition to \
         toTable groupBy groupByKey join leftJoin outerJoin process processValues",
    ),
    ("BranchedKStream", "branch defaultBranch noDefaultBranch"),
    (
        "KTable",
        "filter filterNot mapValues toStream suppress transformValues groupBy join leftJoin outerJoin \
         queryableStoreName",
    ),
    ("KGroupedStream", "count reduce aggregate windowedBy cogroup"),
    ("KGroupedTable", "count reduce aggregate"),
    ("TimeWindowedKStream", "count aggregate reduce emitStrategy"),
    ("SessionWindowedKStream", "count aggregate reduce emitStrategy"),
    ("CogroupedKStream", "cogroup aggregate windowedBy"),
    ("TimeWindowedCogroupedKStream", "aggregate"),
    ("SessionWindowedCogroupedKStream", "aggregate"),
    (
        "Topology",
        "addSource addProcessor addSink addStateStore addReadOnlyStateStore addGlobalStore \
         connectProcessorAndStateStores describe",
    ),
    (
        "ProcessorContext",
        "forward applicationId taskId recordMetadata keySerde valueSerde stateDir metrics getStateStore schedule commit \
         appConfigs appConfigsWithPrefix currentSystemTimeMs currentStreamTimeMs",
    ),
    (
        "Stores",
        "persistentKeyValueStore persistentTimestampedKeyValueStore persistentVersionedKeyValueStore \
         inMemoryKeyValueStore lruMap persistentWindowStore persistentTimestampedWindowStore inMemoryWindowStore \
         persistentSessionStore inMemorySessionStore keyValueStoreBuilder timestampedKeyValueStoreBuilder \
         versionedKeyValueStoreBuilder windowStoreBuilder timestampedWindowStoreBuilder sessionStoreBuilder",
    ),
    (
        "StoreBuilder",
        "withCachingEnabled withCachingDisabled withLoggingEnabled withLoggingDisabled build logConfig loggingEnabled \
         name",
    ),
    (
        "KeyValueStore",
        "get put putIfAbsent putAll delete range reverseRange all reverseAll prefixScan approximateNumEntries",
    ),
    ("WindowStore", "put fetch backwardFetch fetchAll backwardFetchAll all backwardAll"),
    (
        "SessionStore",
        "put remove fetchSession findSessions backwardFindSessions fetch backwardFetch",
    ),
    ("VersionedKeyValueStore", "put delete get"),
    (
        "Materialized",
        "as with withKeySerde withValueSerde withLoggingEnabled withLoggingDisabled withCachingEnabled \
         withCachingDisabled withRetention withStoreType",
    ),
    (
        "Consumed",
        "with as withKeySerde withValueSerde withTimestampExtractor withOffsetResetPolicy withName",
    ),
    ("Produced", "with as withKeySerde withValueSerde withStreamPartitioner withName"),
    ("Grouped", "as with withName withKeySerde withValueSerde"),
    ("Joined", "with as withKeySerde withValueSerde withOtherValueSerde withName withGracePeriod"),
    (
        "StreamJoined",
        "with as withName withStoreName withKeySerde withValueSerde withOtherValueSerde withDslStoreSuppliers \
         withThisStoreSupplier withOtherStoreSupplier withLoggingEnabled withLoggingDisabled",
    ),
    ("TableJoined", "with as withPartitioner withOtherPartitioner withName"),
    (
        "Repartitioned",
        "as with streamPartitioner numberOfPartitions withName withNumberOfPartitions withKeySerde withValueSerde \
         withStreamPartitioner",
    ),
    ("Branched", "as withFunction withConsumer withName"),
    ("Named", "as withName"),
    ("Printed", "toFile toSysOut withLabel withKeyValueMapper withName"),
    (
        "Suppressed",
        "maxRecords withMaxRecords maxBytes withMaxBytes unbounded withNoBound shutDownWhenFull emitEarlyWhenFull \
         withLoggingDisabled withLoggingEnabled untilWindowCloses untilTimeLimit withName",
    ),
    ("EmitStrategy", "onWindowUpdate onWindowClose"),
    ("TimeWindows", "ofSizeWithNoGrace ofSizeAndGrace advanceBy windowsFor size gracePeriodMs"),
    (
        "SlidingWindows",
        "ofTimeDifferenceWithNoGrace ofTimeDifferenceAndGrace timeDifferenceMs gracePeriodMs",
    ),
    (
        "SessionWindows",
        "ofInactivityGapWithNoGrace ofInactivityGapAndGrace gracePeriodMs inactivityGap",
    ),
    ("UnlimitedWindows", "of startOn windowsFor"),
    (
        "JoinWindows",
        "ofTimeDifferenceAndGrace ofTimeDifferenceWithNoGrace before after size gracePeriodMs",
    ),
    (
        "StreamsConfig",
        "application.id bootstrap.servers state.dir num.stream.threads processing.guarantee transaction.timeout.ms \
         commit.interval.ms statestore.cache.max.bytes replication.factor repartition.purge.interval.ms \
         state.cleanup.delay.ms max.task.idle.ms default.timestamp.extractor deserialization.exception.handler \
         processing.exception.handler production.exception.handler topology.optimization",
    ),
    (
        "KafkaStreams",
        "start close state setStateListener setUncaughtExceptionHandler setGlobalStateRestoreListener addStreamThread \
         removeStreamThread pause resume isPaused metrics",
    ),
    ("StateRestoreListener", "onRestoreStart onBatchRestored onRestoreEnd onRestoreSuspended"),
];

/// The table of a Java interface: its rows as cells.
fn rows(java: &str) -> Vec<Vec<&'static str>> {
    let is_heading = |line: &&str| {
        let title = line.strip_prefix("## ");
        title.is_some_and(|title| title == java || title.starts_with(&format!("{java} →")))
    };
    let mut lines = TABLE.lines().skip_while(|line| !is_heading(line)).skip(1);
    let lines = lines.by_ref().take_while(|line| !line.starts_with("## "));
    let rows = lines.filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    rows.skip(1).map(|row| row.split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_java_method_is_in_the_table() {
    for (java, methods) in JAVA {
        let rows = rows(java);
        let found: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row[1])).collect();
        let missing: Vec<_> =
            methods.split_whitespace().filter(|method| !found.contains(method)).collect();
        assert!(missing.is_empty(), "{java} lacks {missing:?}");
    }
}

#[test]
fn every_name_in_the_table_is_a_function_of_the_framework() {
    let mut names = BTreeSet::new();
    add_functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    let rows = TABLE.lines().filter(|line| line.starts_with('|')).skip(1);
    let cells = rows.filter_map(|row| row.split('|').nth(2));
    let links = cells.flat_map(|cell| cell.split("](").skip(1));
    let paths: Vec<&str> = links.filter_map(|link| link.split(')').next()).collect();
    assert!(paths.len() > 200, "{}", paths.len());
    let unknown: Vec<_> = paths
        .iter()
        .filter(|path| !path.rsplit("::").next().is_some_and(|name| names.contains(name)))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The names of all public functions, also of those of traits, and of those that a macro makes:
/// `name, name_with: …`.
fn add_functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            add_functions(&entry.path(), names);
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let name_in = |text: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            text.split(|c| !is_part(c)).next().unwrap_or_default().to_owned()
        };
        for start in ["pub fn ", "pub const fn "] {
            names.extend(text.split(start).skip(1).map(name_in));
        }
        // The functions of public traits are public without a word.
        for body in text.split("\npub trait ").skip(1) {
            let body = body.split("\n}").next().unwrap_or_default();
            names.extend(body.split("\n    fn ").skip(1).map(name_in));
        }
        names.extend(
            text.lines().filter_map(|line| line.trim().split_once("_builder, ")).flat_map(
                |(first, second)| [format!("{}_builder", name_in(first)), name_in(second)],
            ),
        );
    }
}
