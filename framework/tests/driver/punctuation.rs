//! Schedules of processors on both clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use kstream::{Processor, ProcessorError, PunctuationType, Record, ScheduleId, Timestamp};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::Harness;
use crate::processors::{Context, Text, Totals, chain, source, start_error, totals};

/// Forwards each call of its schedules.
#[derive(Default)]
struct Clocks {
    stream_time: Option<ScheduleId>,
}

impl Processor<String, String, String, String> for Clocks {
    fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
        assert_eq!(context.record_metadata(), None);
        let ms = Duration::from_millis;
        self.stream_time = Some(context.schedule(ms(10), PunctuationType::StreamTime)?);
        context.schedule(ms(10), PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(&mut self, context: &mut Context<'_>, record: Text) -> Result<(), ProcessorError> {
        if record.value == "stop" {
            context.cancel(self.stream_time.unwrap());
        }
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut Context<'_>,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let metadata = context.record_metadata().unwrap();
        assert_eq!((metadata.topic, metadata.partition, metadata.offset), (None, -1, -1));
        let clock = if Some(schedule) == self.stream_time { "stream" } else { "wall" };
        let times = (context.current_stream_time_ms(), context.current_system_time_ms());
        context.forward(Record::new(clock.to_owned(), format!("{times:?}"), timestamp))?;
        Ok(())
    }
}

#[test]
fn schedules_follow_their_clocks_until_they_are_cancelled() {
    let test = Harness::new(|builder| source(builder).process(Clocks::default).to("out"));
    let advance = |ms| test.driver.advance_wall_clock_time(Duration::from_millis(ms)).unwrap();
    test.pipe("a", "x", 3);
    advance(9);
    advance(1);
    test.pipe("a", "x", 9);
    test.pipe("a", "x", 35);
    test.pipe("a", "stop", 40);
    test.pipe("a", "x", 99);
    advance(30);
    assert_eq!(
        test.out(),
        ["stream=(3, 0)@3", "wall=(3, 10)@10", "stream=(35, 10)@35", "wall=(99, 40)@40",]
    );
}

#[test]
fn a_schedule_needs_an_interval() {
    struct Hasty;
    impl Processor<String, String, String, String> for Hasty {
        fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
            context.schedule(Duration::from_micros(999), PunctuationType::StreamTime)?;
            Ok(())
        }
        fn process(&mut self, _: &mut Context<'_>, _: Text) -> Result<(), ProcessorError> {
            Ok(())
        }
    }
    let error = start_error(|builder| source(builder).process(|| Hasty).to("out"));
    assert!(error.contains("at least one millisecond"), "{error}");
}

#[test]
fn an_error_in_a_call_names_the_node() {
    struct Grumpy;
    impl Processor<String, String, String, String> for Grumpy {
        fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
            context.schedule(Duration::from_millis(5), PunctuationType::WallClockTime)?;
            Ok(())
        }
        fn process(&mut self, _: &mut Context<'_>, _: Text) -> Result<(), ProcessorError> {
            Ok(())
        }
        fn punctuate(
            &mut self,
            _: &mut Context<'_>,
            _: ScheduleId,
            _: Timestamp,
        ) -> Result<(), ProcessorError> {
            Err("not now".into())
        }
    }
    let test = Harness::new(|builder| {
        source(builder).process_with(|| Grumpy, "grumpy", &[]).to("out");
    });
    let error = test.driver.advance_wall_clock_time(Duration::from_millis(5)).unwrap_err();
    let error = chain(&error);
    assert!(error.contains("not now") && error.contains("node grumpy"), "{error}");
}

const PERIOD: i64 = 20;

/// Adds values up by key; forwards and forgets the totals each time stream time has passed a multiple of
/// the period.
#[derive(Default)]
struct Periods {
    totals: Option<Totals>,
}

impl Processor<String, String, String, String> for Periods {
    fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
        self.totals = Some(context.store("totals")?);
        let period = Duration::from_millis(PERIOD.unsigned_abs());
        context.schedule(period, PunctuationType::StreamTime)?;
        Ok(())
    }

    fn process(&mut self, _: &mut Context<'_>, record: Text) -> Result<(), ProcessorError> {
        let totals = self.totals.as_ref().unwrap();
        let total = totals.get(&record.key)?.unwrap_or(0) + record.value.parse::<i64>()?;
        totals.put(&record.key, total)?;
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut Context<'_>,
        _: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let totals = self.totals.as_ref().unwrap();
        for (key, total) in totals.all()? {
            totals.delete(&key)?;
            context.forward(Record::new(key, total.to_string(), timestamp))?;
        }
        Ok(())
    }
}

proptest! {
    /// The model knows all records from the beginning: a period ends at the first record whose stream time is in a
    /// later one.
    #[test]
    fn totals_of_periods_are_those_of_the_records_in_them(
        records in vec(("[abc]", 0..10_i64, 0..200_i64), 0..60),
    ) {
        let test = Harness::new(|builder| {
            builder.add_state_store(totals("totals"));
            source(builder).process_with(Periods::default, "periods", &["totals"]).to("out");
        });
        for (key, value, timestamp) in &records {
            test.pipe(key.as_str(), value.to_string().as_str(), *timestamp);
        }
        let stream_time = |until: usize| records[..=until].iter().map(|(_, _, time)| *time).max();
        let period = |record: usize| stream_time(record).map(|time| time / PERIOD);
        let ends = |record: &usize| *record == 0 || period(*record) > period(*record - 1);
        let ends: Vec<usize> = (0..records.len()).filter(ends).collect();
        let mut expected = Vec::new();
        let mut from = 0;
        for end in ends {
            let mut totals = BTreeMap::new();
            for (key, value, _) in &records[from..=end] {
                *totals.entry(key).or_insert(0) += value;
            }
            let time = stream_time(end).unwrap_or_default();
            expected.extend(totals.iter().map(|(key, total)| format!("{key}={total}@{time}")));
            from = end + 1;
        }
        prop_assert_eq!(test.out(), expected);
    }
}
