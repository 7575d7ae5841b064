//! Schedules of processors on both clocks.

use std::time::Duration;

use kstream::{Processor, ProcessorError, PunctuationType, Record, ScheduleId, Timestamp};

use crate::harness::Harness;
use crate::processors::{Context, Text, chain, source, start_error};

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
