//! The page against the catalog, and series that come and go.

use std::collections::BTreeMap;

use super::*;

const TASK: TaskId = TaskId { subtopology: 0, partition: 3 };

/// Every metric's name and type on the page.
fn page_types(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

#[track_caller]
fn assert_line(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
}

#[test]
fn page_shows_exactly_the_catalog() {
    let metrics = Metrics::new(&StateEnv::default());
    let _thread = metrics.thread("t");
    let _task = metrics.task(TASK, &[TopicPartition::new("in", 3)]);
    let _store = metrics.store(TASK, "counts");
    let text = metrics.text().unwrap();
    let catalog: BTreeMap<_, _> = METRICS
        .iter()
        .filter(|spec| cfg!(target_os = "linux") || !spec.name.starts_with("process_"))
        .map(|spec| {
            let kind = match spec.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            (spec.name, kind)
        })
        .collect();
    assert_eq!(page_types(&text), catalog);
    for spec in METRICS {
        assert_line(&text, &format!("# HELP {} {}", spec.name, spec.help));
    }
}

#[test]
fn names_follow_the_rules() {
    for spec in METRICS {
        let is_counter = spec.kind == MetricKind::Counter;
        assert_eq!(spec.name.ends_with("_total"), is_counter, "{}", spec.name);
        assert!(spec.name.starts_with("kstream_") || spec.name.starts_with("process_"));
        assert!(spec.help.ends_with('.') && !spec.help.contains('\n'), "{}", spec.name);
    }
}

#[test]
fn handles_write_to_their_own_series() {
    let metrics = Metrics::new(&StateEnv::default());
    let inputs = [TopicPartition::new("in", 3), TopicPartition::new("other", 3)];
    let thread = metrics.thread("t-1");
    let task = metrics.task(TASK, &inputs);
    let store = metrics.store(TASK, "counts");
    metrics.client_state().set(2);
    thread.commits.inc();
    thread.commit_duration.observe(0.02);
    task.process_records.inc_by(7);
    task.lag_records[1].set(5);
    store.rows.set(9);
    let text = metrics.text().unwrap();
    assert_line(&text, "kstream_client_state 2");
    assert_line(&text, "kstream_thread_commit_total{thread=\"t-1\"} 1");
    assert_line(
        &text,
        "kstream_thread_commit_duration_seconds_bucket{thread=\"t-1\",le=\"0.025\"} 1",
    );
    assert_line(&text, "kstream_task_process_records_total{task=\"0_3\"} 7");
    assert_line(&text, "kstream_task_lag_records{partition=\"3\",task=\"0_3\",topic=\"other\"} 5");
    assert_line(&text, "kstream_store_rows{store=\"counts\",task=\"0_3\"} 9");
}

#[test]
fn each_drop_reason_has_a_counter_of_its_own() {
    let metrics = Metrics::new(&StateEnv::default());
    let task = metrics.task(TASK, &[]);
    for (index, reason) in DropReason::ALL.into_iter().enumerate() {
        task.dropped_records(reason).inc_by(index as u64 + 1);
    }
    let text = metrics.text().unwrap();
    for (index, reason) in DropReason::ALL.into_iter().enumerate() {
        let (name, count) = (reason.name(), index + 1);
        assert_line(
            &text,
            &format!(
                "kstream_task_dropped_records_total{{reason=\"{name}\",task=\"0_3\"}} {count}"
            ),
        );
    }
}

#[test]
fn dropped_handles_leave_the_page() {
    let metrics = Metrics::new(&StateEnv::default());
    let kept = metrics.store(TASK, "kept");
    drop(metrics.thread("gone"));
    drop(metrics.task(TASK, &[TopicPartition::new("gone", 0)]));
    drop(metrics.store(TASK, "gone"));
    kept.rows.set(1);
    let text = metrics.text().unwrap();
    assert!(!text.contains("gone"), "{text}");
    assert!(!text.contains("kstream_task_"), "{text}");
    assert_line(&text, "kstream_store_rows{store=\"kept\",task=\"0_3\"} 1");
}

#[test]
#[cfg(target_os = "linux")]
fn process_reads_itself() {
    let bytes = process::resident_memory_bytes().unwrap();
    assert!(bytes > 1e6 && bytes < 1e12, "{bytes}");
    assert!(process::cpu_seconds().unwrap() >= 0.0);
}

#[test]
fn applications_add_metrics_of_their_own() {
    let metrics = Metrics::new(&StateEnv::default());
    let own = IntCounter::new("visits_total", "Visits.").unwrap();
    metrics.registry().register(Box::new(own.clone())).unwrap();
    own.inc();
    assert_line(&metrics.text().unwrap(), "visits_total 1");
}
