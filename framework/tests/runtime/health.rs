//! What an instance says of itself.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use axum::http::StatusCode;
use kstream::KafkaStreams;
use kstream_test_support::wait_until;

use crate::app::{
    INPUT, SOON, broker, config, counting, page, produce_keys, running, wait_until_committed,
};

#[test]
fn ready_is_503_before_tasks_run_and_200_while_they_do() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let streams = KafkaStreams::new(counting(), config(folder.path()), broker.clone()).unwrap();
    assert_eq!(page(&streams, "/health/ready").0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page(&streams, "/health/live").0, StatusCode::OK);
    drop(streams);
    let mut streams = running(counting(), config(folder.path()), broker);
    assert_eq!(page(&streams, "/health/ready").0, StatusCode::OK);
    streams.close().unwrap();
    assert_eq!(page(&streams, "/health/ready").0, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn metrics_count_records_and_topology_is_its_description() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_keys(&broker, 0..100);
    let description = counting().describe().to_string();
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    let total = || {
        let metrics = page(&streams, "/metrics").1;
        let lines =
            metrics.lines().filter(|line| line.starts_with("kstream_task_process_records_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    wait_until(SOON, "100 records in the metrics", || (total() - 100.0).abs() < 0.5).unwrap();
    assert_eq!(page(&streams, "/topology"), (StatusCode::OK, description));
    streams.close().unwrap();
}

#[test]
fn pages_are_served_where_the_settings_say() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut streams = running(counting(), config(folder.path()).http_listen(any), broker);
    let address = streams.http_address().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    streams.close().unwrap();
    assert!(TcpStream::connect(address).is_err());
}
