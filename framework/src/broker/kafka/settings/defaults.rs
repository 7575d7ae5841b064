//! The librdkafka properties of each kind of client, with reasons. All of them are start values, but for
//! those that [`FIXED`] names.

/// Properties that are not the user's to change, and why.
pub(super) const FIXED: &[(&str, &str)] = &[
    ("acks", "a record counts as written when all copies in sync have it"),
    ("auto.commit.enable", COMMITTED),
    ("auto.commit.interval.ms", COMMITTED),
    ("auto.offset.reset", "a lost position has to surface, never to jump"),
    ("bootstrap.servers", "the address is given on its own, to KafkaBroker::new"),
    ("client.id", "it names the client's job in the broker's logs"),
    ("delivery.report.only.error", "it follows from what the runtime wants to know"),
    ("enable.auto.commit", COMMITTED),
    ("enable.auto.offset.store", COMMITTED),
    ("enable.idempotence", "records have to arrive in order, and once per producer"),
    ("enable.partition.eof", "the ends of logs tell when a state is restored"),
    ("enabled_events", "the runtime takes events by callbacks"),
    ("group.id", "it is the application id"),
    ("group.instance.id", "one process may have several members"),
    ("group.protocol", "tasks are dealt out over the classic protocol"),
    ("group.remote.assignor", "tasks are dealt out over the classic protocol"),
    ("heartbeat.interval.ms", "set it by StreamsConfig::heartbeat_interval"),
    ("isolation.level", "records of an aborted transaction have never happened"),
    ("log.queue", "logs go to tracing"),
    ("max.poll.interval.ms", "set it by StreamsConfig::max_poll_interval"),
    ("metadata.broker.list", "the address is given on its own, to KafkaBroker::new"),
    ("offset.store.method", COMMITTED),
    ("partition.assignment.strategy", "the runtime deals tasks out by itself"),
    ("partitioner", "the runtime chooses partitions, as Kafka's clients do"),
    ("request.required.acks", "a record counts as written when all copies in sync have it"),
    ("session.timeout.ms", "set it by StreamsConfig::session_timeout"),
    ("transaction.timeout.ms", "it belongs to the transactions of the runtime"),
    ("transactional.id", "transactions are the runtime's"),
];

const COMMITTED: &str = "tasks commit their offsets together with their state";

pub(super) const COMMON: &[(&str, &str)] = &[
    ("enable.metrics.push", "false"), // no reports to the cluster without being asked
    ("log.connection.close", "false"), // brokers close idle connections; that is no news
    ("reconnect.backoff.max.ms", "2000"), // back soon after a broker's restart
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"), // requests are small and waited for
    ("topic.metadata.refresh.interval.ms", "30000"), // added partitions show within half a minute
];

pub(super) const CONSUMER: &[(&str, &str)] = &[
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("fetch.queue.backoff.ms", "2"), // the default of a second idles a consumer that drains fast
    ("isolation.level", "read_committed"), // an aborted record has never happened
];

pub(super) const MAIN: &[(&str, &str)] = &[
    ("enable.partition.eof", "true"),
    ("fetch.max.bytes", "8388608"),
    // Per partition: bounds what lies behind a slow one, and what one batch keeps alive.
    ("fetch.message.max.bytes", "524288"),
    // The longest that idle partitions hold a new one back.
    ("fetch.wait.max.ms", "100"),
    // Per partition, payload only.
    ("queued.max.messages.kbytes", "2048"),
    // Per partition: the real limit where records are small.
    ("queued.min.messages", "5000"),
];

pub(super) const RESTORE: &[(&str, &str)] = &[
    // A changelog may end with records that compaction has taken: only this mark tells.
    ("enable.partition.eof", "true"),
    ("fetch.max.bytes", "16777216"),
    ("fetch.message.max.bytes", "2097152"),
    ("fetch.wait.max.ms", "50"),
    ("queued.max.messages.kbytes", "4096"),
    ("queued.min.messages", "10000"),
];

pub(super) const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    // KAFKA: a call of a transaction that waits for a coordinator whose broker has left the cluster is looked
    // at again only when the state of some connection changes (librdkafka issues 5456 and 5511), so idle ones
    // are given up soon. An idle producer connects anew.
    ("connections.max.idle.ms", "4000"),
    ("enable.idempotence", "true"),
    // KAFKA: as Kafka Streams sets it. A flush does not wait for it; a fifth less CPU than with 20.
    ("linger.ms", "100"),
    ("message.timeout.ms", "300000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("queue.buffering.max.messages", "100000"),
];

pub(super) const MEMBER: &[(&str, &str)] = &[
    ("auto.offset.reset", "error"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("group.protocol", "classic"),
    ("isolation.level", "read_committed"), // committed offsets wait for open transactions
    ("partition.assignment.strategy", "range"),
];

/// Properties with two names, and the one that is used here.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("compression.type", "compression.codec"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
];
