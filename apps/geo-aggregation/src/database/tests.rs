//! The rules of the rows, on a SQLite file; `KSTREAM_TEST_POSTGRES` names a PostgreSQL database to
//! run the same on.

use std::sync::Arc;
use std::time::Duration;

use kstream::time::ManualClock;
use tokio::sync::mpsc;

use sqlx::AssertSqlSafe;

use super::*;

fn sqlite(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("totals.db").display())
}

fn totals(visits: &[(&str, u64)]) -> Totals {
    let visits = visits.iter().map(|&(code, n)| (code.parse().unwrap(), n)).collect();
    Totals { visits, ..Totals::default() }
}

/// Runs a test body on SQLite, and on PostgreSQL if there is one.
async fn on_every_database<F: AsyncFn(Database)>(application_id: &str, body: F) {
    let folder = tempfile::tempdir().unwrap();
    body(Database::open(&sqlite(&folder), application_id).await.unwrap()).await;
    if let Ok(url) = std::env::var("KSTREAM_TEST_POSTGRES") {
        let database = Database::open(&url, application_id).await.unwrap();
        database.clear().await.unwrap();
        body(database).await;
    }
}

#[tokio::test]
async fn what_is_written_is_read() {
    on_every_database("read", async |database| {
        let mut totals = totals(&[("US", 3), ("ZZ", 1)]);
        totals.rejected.insert("1-0".to_owned(), 7);
        totals.windows.insert((5_000, "US".parse().unwrap()), 2);
        database.raise(&totals, 6_000).await.unwrap();
        assert_eq!(database.read().await.unwrap(), totals);
    })
    .await;
}

#[tokio::test]
async fn rows_only_grow() {
    on_every_database("grow", async |database| {
        database.raise(&totals(&[("US", 5), ("DE", 2)]), 0).await.unwrap();
        database.raise(&totals(&[("US", 3), ("DE", 4)]), 0).await.unwrap();
        database.raise(&totals(&[("US", 3), ("DE", 4)]), 0).await.unwrap();
        assert_eq!(database.read().await.unwrap(), totals(&[("US", 5), ("DE", 4)]));
    })
    .await;
}

#[tokio::test]
async fn more_rows_than_a_statement_takes_are_written() {
    on_every_database("many", async |database| {
        let codes = (b'A'..=b'Z').flat_map(|a| (b'A'..=b'Z').map(move |b| [a, b]));
        let visits = codes
            .zip(1..)
            .map(|(code, n)| (std::str::from_utf8(&code).unwrap().parse().unwrap(), n))
            .collect();
        let totals = Totals { visits, ..Totals::default() };
        database.raise(&totals, 0).await.unwrap();
        assert_eq!(database.read().await.unwrap(), totals);
    })
    .await;
}

#[tokio::test]
async fn old_windows_are_deleted() {
    on_every_database("windows", async |database| {
        let mut totals = Totals::default();
        totals.windows.insert((0, "US".parse().unwrap()), 2);
        database.raise(&totals, 0).await.unwrap();
        database.raise(&Totals::default(), WINDOW_RETENTION_MS + 1).await.unwrap();
        assert!(database.read().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn applications_do_not_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let one = Database::open(&sqlite(&folder), "one").await.unwrap();
    let two = Database::open(&sqlite(&folder), "two").await.unwrap();
    one.raise(&totals(&[("US", 5)]), 0).await.unwrap();
    two.raise(&totals(&[("US", 2)]), 0).await.unwrap();
    two.clear().await.unwrap();
    assert_eq!(one.read().await.unwrap(), totals(&[("US", 5)]));
    assert!(two.read().await.unwrap().is_empty());
}

#[tokio::test]
async fn database_opens_again_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&sqlite(&folder), "again").await.unwrap();
    database.raise(&totals(&[("US", 5)]), 0).await.unwrap();
    drop(database);
    let again = Database::open(&sqlite(&folder), "again").await.unwrap();
    assert_eq!(again.read().await.unwrap(), totals(&[("US", 5)]));
}

#[tokio::test]
async fn unusable_database_is_named_without_its_password() {
    let error = Database::open("postgres://bob:secret@127.0.0.1:1/x", "a").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot open the database postgres://bob:…@127.0.0.1:1/x");
    let error = Database::open("sqlite:/no/such/folder/x.db", "a").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot open the database sqlite:/no/such/folder/x.db");
}

#[tokio::test]
async fn sink_writes_at_its_end_what_it_has_not_written() {
    on_every_database("end", async |database| {
        let clock = Arc::new(ManualClock::default());
        let sink = Sink::new(database.clone(), clock, Duration::from_secs(3600));
        let (sender, receiver) = mpsc::channel(4);
        sender.send(totals(&[("US", 1)])).await.unwrap();
        sender.send(totals(&[("US", 2)])).await.unwrap();
        drop(sender);
        sink.run(receiver).await.unwrap();
        assert_eq!(database.read().await.unwrap(), totals(&[("US", 2)]));
    })
    .await;
}

#[tokio::test]
async fn sink_keeps_changes_while_the_database_refuses_and_writes_them_after() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&sqlite(&folder), "away").await.unwrap();
    let rename = |from: &'static str, to: &'static str| {
        sqlx::query(AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}")))
    };
    rename("country_visits", "elsewhere").execute(&database.pool).await.unwrap();
    let mut sink =
        Sink::new(database.clone(), Arc::new(ManualClock::default()), Duration::from_secs(1));
    sink.waiting.merge(&totals(&[("US", 2)]));
    sink.write().await.unwrap_err();
    rename("elsewhere", "country_visits").execute(&database.pool).await.unwrap();
    sink.waiting.merge(&totals(&[("DE", 1)]));
    sink.write().await.unwrap();
    assert_eq!(database.read().await.unwrap(), totals(&[("DE", 1), ("US", 2)]));
}
