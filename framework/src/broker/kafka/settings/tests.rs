//! What a user's settings come to.

use super::*;

fn settings() -> KafkaSettings {
    [
        ("sasl.password", "secret"),
        ("consumer.check.crcs", "true"),
        ("main.consumer.queued.min.messages", "7"),
        ("producer.batch.size", "9"),
    ]
    .into_iter()
    .collect()
}

fn producer_settings() -> ProducerSettings {
    ProducerSettings { client_id: "c".to_owned(), track_acks: false, transactions: None }
}

#[test]
fn a_role_overrides_its_own_clients_only() {
    let main = settings().consumer("b:1", ConsumerRole::Main, "c");
    let restore = settings().consumer("b:1", ConsumerRole::Restore, "c");
    let producer = settings().producer("b:1", &producer_settings());
    assert_eq!(main.get("queued.min.messages"), Some("7"));
    assert_eq!(restore.get("queued.min.messages"), Some("10000"));
    assert_eq!(restore.get("check.crcs"), Some("true"));
    assert_eq!(settings().observer("b:1").get("check.crcs"), Some("true"));
    assert_eq!(producer.get("check.crcs"), None);
    assert_eq!(producer.get("batch.size"), Some("9"));
    assert_eq!(producer.get("sasl.password"), Some("secret"));
    assert_eq!(settings().admin("b:1").get("sasl.password"), Some("secret"));
}

#[test]
fn the_closer_name_wins() {
    let mut settings = KafkaSettings::default();
    settings.set("check.crcs", "common");
    let value = |settings: &KafkaSettings| {
        let config = settings.consumer("b:1", ConsumerRole::Main, "c");
        config.get("check.crcs").unwrap().to_owned()
    };
    assert_eq!(value(&settings), "common");
    settings.set("consumer.check.crcs", "consumer");
    assert_eq!(value(&settings), "consumer");
    settings.set("main.consumer.check.crcs", "main");
    assert_eq!(value(&settings), "main");
}

#[test]
fn the_other_name_of_a_property_replaces_its_default() {
    let mut settings = KafkaSettings::default();
    settings.set("producer.queue.buffering.max.ms", "3");
    settings.set("producer.delivery.timeout.ms", "1000");
    let producer = settings.producer("b:1", &producer_settings());
    assert_eq!(producer.get("linger.ms"), Some("3"));
    assert_eq!(producer.get("message.timeout.ms"), Some("1000"));
    assert_eq!(producer.get("queue.buffering.max.ms"), None);
}

#[test]
fn all_problems_are_told_together_and_why() {
    let mut settings = settings();
    assert!(settings.problems().is_empty(), "{:?}", settings.problems());
    settings.set("main.consumer.isolation.level", "read_uncommitted");
    settings.set("consumer.enable.auto.commit", "true");
    settings.set("no.such.thing", "1");
    settings.set("producer.compression.type", "squeezed");
    settings.set("topic.retention.ms", "1");
    settings.set("sasl.oauthbearer.method", "oidc");
    settings.oauth_tokens = Some(Arc::new(|| Err("none".into())));
    let problems = settings.problems();
    let expected = [
        ("main.consumer.isolation.level: ", "aborted transaction"),
        ("consumer.enable.auto.commit: ", "tasks commit their offsets"),
        ("producer.compression.type: ", "squeezed"),
        ("no.such.thing: ", "No such configuration property"),
        ("sasl.oauthbearer.method: ", "KafkaSettings::oauth_tokens"),
        ("topic.retention.ms: ", "StreamsConfig::topic_config"),
        ("oauth_tokens: ", "OAUTHBEARER"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (name, reason)) in problems.iter().zip(expected) {
        assert!(problem.starts_with(name) && problem.contains(reason), "{problem}");
    }
}

#[test]
fn no_default_is_refused_by_librdkafka() {
    let settings = KafkaSettings::default();
    settings.admin("b:1").native().unwrap();
    settings.observer("b:1").native().unwrap();
    settings.producer("b:1", &producer_settings()).native().unwrap();
    for role in [ConsumerRole::Main, ConsumerRole::Restore] {
        settings.consumer("b:1", role, "c").native().unwrap();
    }
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?} {:?}", settings(), settings().admin("b:1"));
    assert!(shown.contains("sasl.password") && !shown.contains("secret\""), "{shown}");
}
