//! What goes wrong from the start ends with one clear line and a bad exit code.

use kstream_test_support::free_port;

use crate::program::Workplace;

#[track_caller]
fn check(arguments: &[&str], beginning: &str) {
    let workplace = Workplace::new();
    std::fs::write(workplace.path("a.log"), "x\n").unwrap();
    let output = workplace.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [line] = lines.as_slice() else { panic!("{text}") };
    assert!(line.starts_with(&format!("geo-aggregation: {beginning}")), "{line}");
}

#[test]
fn unreadable_inputs() {
    check(&["all", "--log", "no.log", "--exit-when-done"], "no file is named no.log");
    check(&["all", "--log", "/", "--exit-when-done"], "cannot read /: ");
    check(
        &["all", "--log", "a.log", "--geoip", "a.log", "--exit-when-done"],
        "cannot use the GeoIP file a.log: ",
    );
}

#[test]
fn unreachable_broker() {
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    check(
        &["import", "--log", "a.log", "--broker", &address],
        "cannot use the broker: no Kafka broker answers",
    );
}

#[test]
fn unreachable_database() {
    let url = format!("postgres://bob:secret@127.0.0.1:{}/x", free_port().unwrap());
    check(
        &["all", "--log", "a.log", "--database", &url, "--exit-when-done"],
        "cannot open the database postgres://bob:…@",
    );
    check(
        &["web", "--database", "sqlite:/no/such/folder/x.db"],
        "cannot open the database sqlite:/no/such/folder/x.db: ",
    );
}

#[test]
fn taken_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(
        &["all", "--log", "a.log", "--listen", &address],
        &format!("cannot listen on {address}: "),
    );
}

#[test]
fn embedded_broker_for_a_single_stage() {
    check(&["preprocess"], "`preprocess` needs Kafka: give --broker HOST:PORT");
}

#[test]
fn unknown_flag_is_explained_by_the_usage() {
    let output = Workplace::new().run(&["all", "--lgo", "a.log"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("unexpected argument '--lgo'") && text.contains("--help"), "{text}");
}
