//! The relational database behind the page: SQLite or PostgreSQL, by URL.
//!
//! Rows hold totals. A row is only ever replaced by a larger total, because totals only grow: so a
//! repeated write changes nothing, and an instance that lags behind, was paused, or replays its
//! input cannot undo what another one has written. Rows belong to an application id; whoever starts
//! counting anew takes a new id.

mod sink;
mod upsert;

#[cfg(test)]
mod tests;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, Row as _, SqlSafeStr as _};

pub use sink::Sink;
use upsert::{REJECTED, VISITS, WINDOWS};

use crate::country::CountryCode;
use crate::totals::{Totals, WINDOW_RETENTION_MS};

/// How long to wait for a connection before the database counts as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections of one process: the sink, the page, and one to spare.
const MAX_CONNECTIONS: u32 = 3;

/// A call to the database that failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be opened, or its schema cannot be brought up to date.
    #[error("cannot open the database {url}")]
    Open {
        /// Its URL without password.
        url: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed.
    #[error("the database refused a statement or is away")]
    Statement(#[from] sqlx::Error),
}

/// A pool of connections, and whose rows they are for.
#[derive(Debug, Clone)]
pub struct Database {
    pool: AnyPool,
    application_id: String,
}

impl Database {
    /// Opens the database, creates a SQLite file that is not there, and brings the schema up to
    /// date.
    ///
    /// # Errors
    /// It is away, the URL is wrong, or the schema is from a later version.
    pub async fn open(url: &str, application_id: &str) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        let open = async {
            let options = AnyConnectOptions::from_str(&with_sqlite_defaults(url))?;
            let pool = AnyPoolOptions::new()
                .max_connections(MAX_CONNECTIONS)
                .acquire_timeout(CONNECT_TIMEOUT)
                .connect_with(options)
                .await?;
            if is_sqlite(url) {
                // Readers of the page and the sink do not wait for each other.
                sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
            }
            migrator().run(&pool).await?;
            Ok(pool)
        };
        let pool = open
            .await
            .map_err(|source| DatabaseError::Open { url: without_password(url), source })?;
        Ok(Self { pool, application_id: application_id.to_owned() })
    }

    /// All totals of the application.
    ///
    /// # Errors
    /// The database is away.
    pub async fn read(&self) -> Result<Totals, DatabaseError> {
        let mut totals = Totals::default();
        let sql = "SELECT country, visits FROM country_visits WHERE application_id = $1";
        for row in sqlx::query(sql).bind(&self.application_id).fetch_all(&self.pool).await? {
            totals.visits.insert(country(&row, 0)?, count(&row, 1)?);
        }
        let sql = "SELECT source, lines FROM rejected_lines WHERE application_id = $1";
        for row in sqlx::query(sql).bind(&self.application_id).fetch_all(&self.pool).await? {
            totals.rejected.insert(row.try_get(0)?, count(&row, 1)?);
        }
        let sql = "SELECT window_start_ms, country, visits FROM visit_windows \
                   WHERE application_id = $1";
        for row in sqlx::query(sql).bind(&self.application_id).fetch_all(&self.pool).await? {
            totals.windows.insert((row.try_get(0)?, country(&row, 1)?), count(&row, 2)?);
        }
        Ok(totals)
    }

    /// Raises rows to these totals, all in one transaction, and drops old windows.
    ///
    /// # Errors
    /// The database is away; nothing was written.
    pub async fn raise(&self, changed: &Totals, now_ms: i64) -> Result<(), DatabaseError> {
        let mut transaction = self.pool.begin().await?;
        let visits = changed.visits.iter().map(|(code, &n)| (code.as_str().into(), None, n));
        VISITS.raise(&mut transaction, &self.application_id, visits, now_ms).await?;
        let rejected =
            changed.rejected.iter().map(|(source, &n)| (source.as_str().into(), None, n));
        REJECTED.raise(&mut transaction, &self.application_id, rejected, now_ms).await?;
        let windows = changed.windows.iter();
        let windows = windows.map(|((start, code), &n)| (code.as_str().into(), Some(*start), n));
        WINDOWS.raise(&mut transaction, &self.application_id, windows, now_ms).await?;
        sqlx::query("DELETE FROM visit_windows WHERE application_id = $1 AND window_start_ms < $2")
            .bind(&self.application_id)
            .bind(now_ms - WINDOW_RETENTION_MS)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes the application's rows: for a broker that has forgotten what they were counted from.
    ///
    /// # Errors
    /// The database is away.
    pub async fn clear(&self) -> Result<(), DatabaseError> {
        let mut transaction = self.pool.begin().await?;
        for sql in [
            "DELETE FROM country_visits WHERE application_id = $1",
            "DELETE FROM rejected_lines WHERE application_id = $1",
            "DELETE FROM visit_windows WHERE application_id = $1",
        ] {
            sqlx::query(sql).bind(&self.application_id).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}

fn migrator() -> Migrator {
    let totals = include_str!("../../migrations/0001_totals.sql").into_sql_str();
    let simple = MigrationType::Simple;
    Migrator::with_migrations(vec![Migration::new(1, "totals".into(), simple, totals, false)])
}

fn country(row: &AnyRow, column: usize) -> Result<CountryCode, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn count(row: &AnyRow, column: usize) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

/// A SQLite file is created if it is not there, unless the URL says otherwise.
fn with_sqlite_defaults(url: &str) -> String {
    if !is_sqlite(url) || url.contains("mode=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}mode=rwc")
}

fn without_password(url: &str) -> String {
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let (login, host) = rest.rsplit_once('@')?;
        let (user, _password) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:…@{host}"))
    };
    hidden().unwrap_or_else(|| url.to_owned())
}
