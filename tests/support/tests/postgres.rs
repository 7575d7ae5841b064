//! The database fixture against the real database.

use kstream_test_support::PostgresServer;

#[test]
fn rows_survive_a_restart_on_the_same_address() {
    let mut postgres = PostgresServer::start().unwrap();
    let url = postgres.url();
    postgres.sql("create table visits (country text, n bigint)").unwrap();
    postgres.sql("insert into visits values ('DE', 3), ('ZZ', 1)").unwrap();
    postgres.stop().unwrap();
    assert!(postgres.sql("select 1").is_err());
    postgres.restart().unwrap();
    assert_eq!(postgres.url(), url);
    assert_eq!(postgres.sql("select * from visits order by n").unwrap(), "ZZ|1\nDE|3\n");
}

#[test]
fn wrong_sql_is_an_error_with_the_message_of_the_server() {
    let postgres = PostgresServer::start().unwrap();
    let error = postgres.sql("select * from nowhere").unwrap_err().to_string();
    assert!(error.contains("\"nowhere\" does not exist"), "{error}");
}
