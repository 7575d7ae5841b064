//! Headers go along with their record.

use kstream::{Headers, KStream, Materialized, Named, Record};

use crate::harness::{Harness, config};

fn headers(name_values: &[(&str, Option<&str>)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in name_values {
        headers.add(name, value.map(str::as_bytes));
    }
    headers
}

#[track_caller]
fn pipe(test: &Harness, value: &str, headers: Headers) {
    let mut record = Record::new("k".to_owned(), value.to_owned(), 0);
    record.headers = headers;
    test.driver.input_topic::<String, String>("in").pipe_record(&record).unwrap();
}

#[test]
fn stateless_operators_and_repartition_topics_forward_headers_in_order() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream
            .filter(|_, _| true)
            .map(|key, value| (value, key))
            .flat_map_values(|value: String| [value.clone(), value])
            .repartition()
            .merge(&builder.stream("other"))
            .to("out");
    });
    let sent = headers(&[("b", Some("1")), ("a", None), ("b", Some("2"))]);
    pipe(&test, "v", sent.clone());
    let received = test.records::<String>("out");
    assert_eq!(received.len(), 2);
    for record in received {
        assert_eq!(record.headers, sent);
    }
}

#[test]
fn results_of_aggregations_carry_the_headers_of_the_record_that_caused_them() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.group_by_key().count().to_stream().to("out");
    });
    pipe(&test, "1", headers(&[("h", Some("1"))]));
    pipe(&test, "2", headers(&[]));
    let found: Vec<_> =
        test.records::<i64>("out").into_iter().map(|record| record.headers).collect();
    assert_eq!(found, [headers(&[("h", Some("1"))]), headers(&[])]);
}

#[test]
fn changelog_records_carry_none() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let store = Materialized::named("store");
        stream.group_by_key().count_with(Named::default(), store);
    });
    pipe(&test, "1", headers(&[("h", Some("1"))]));
    let changelog = test.records::<i64>("app-store-changelog");
    assert_eq!(changelog.len(), 1);
    assert!(changelog.iter().all(|record| record.headers.is_empty()));
}

#[test]
fn result_from_the_record_cache_carries_the_headers_of_the_last_update() {
    let test = Harness::with_config(config().statestore_cache_max_bytes(1000), |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.group_by_key().count().to_stream().to("out");
    });
    pipe(&test, "1", headers(&[("h", Some("1"))]));
    pipe(&test, "2", headers(&[("h", Some("2"))]));
    let last = test.records::<i64>("out").pop().unwrap();
    assert_eq!(last.headers, headers(&[("h", Some("2"))]));
}
