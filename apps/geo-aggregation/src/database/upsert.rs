//! One statement that raises many rows to new totals; rows that hold as much already stay as they
//! are.

use std::fmt::Write as _;

use sqlx::{Any, AssertSqlSafe, Transaction};

/// Rows per statement, far below what either database allows.
const ROWS_PER_STATEMENT: usize = 500;

/// A table of totals.
pub(super) struct Table {
    name: &'static str,
    /// The column that, with the application and perhaps the window, says what is counted.
    subject: &'static str,
    /// Whether totals are also by window.
    by_window: bool,
    total: &'static str,
}

pub(super) const VISITS: Table =
    Table { name: "country_visits", subject: "country", by_window: false, total: "visits" };
pub(super) const REJECTED: Table =
    Table { name: "rejected_lines", subject: "source", by_window: false, total: "lines" };
pub(super) const WINDOWS: Table =
    Table { name: "visit_windows", subject: "country", by_window: true, total: "visits" };

/// Subject, start of the window, total.
pub(super) type Row = (String, Option<i64>, u64);

impl Table {
    /// Raises rows to these totals. Rows come in the order of their keys, in every instance, so that
    /// two instances never wait for each other's rows.
    pub(super) async fn raise(
        &self,
        transaction: &mut Transaction<'_, Any>,
        application_id: &str,
        rows: impl Iterator<Item = Row>,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        let rows: Vec<Row> = rows.collect();
        for chunk in rows.chunks(ROWS_PER_STATEMENT) {
            // Nothing but column names and placeholders goes into the text.
            let mut query = sqlx::query(AssertSqlSafe(self.statement(chunk.len())));
            for (subject, window_start_ms, total) in chunk {
                query = query.bind(application_id.to_owned()).bind(subject.clone());
                if self.by_window {
                    query = query.bind(window_start_ms.unwrap_or_default());
                }
                query = query.bind(i64::try_from(*total).unwrap_or(i64::MAX)).bind(now_ms);
            }
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    fn statement(&self, rows: usize) -> String {
        let Self { name, subject, by_window, total } = self;
        let window = if *by_window { ", window_start_ms" } else { "" };
        let columns = if *by_window { 5 } else { 4 };
        let mut sql = format!(
            "INSERT INTO {name} (application_id, {subject}{window}, {total}, updated_at_ms) VALUES "
        );
        for row in 0..rows {
            let first = row * columns + 1;
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in first..first + columns {
                let comma = if column == first { "" } else { ", " };
                // Writing to a string cannot fail.
                write!(sql, "{comma}${column}").ok();
            }
            sql.push(')');
        }
        write!(
            sql,
            " ON CONFLICT (application_id, {subject}{window}) DO UPDATE SET \
             {total} = excluded.{total}, updated_at_ms = excluded.updated_at_ms \
             WHERE excluded.{total} > {name}.{total}"
        )
        .ok();
        sql
    }
}
