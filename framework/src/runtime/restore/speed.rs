//! How fast a restore is, and when it will be done; worked out when it is shown, not per record.

use std::time::Duration;

/// What happened this long ago counts a third of what happens now.
const MEMORY_SECONDS: f64 = 5.0;

/// A rate of something that grows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Speed {
    last: Option<(Duration, u64)>,
    per_second: Option<f64>,
}

impl Speed {
    /// It has grown to this.
    #[expect(clippy::cast_precision_loss, reason = "a rate that is shown")]
    pub(crate) fn observe(&mut self, now: Duration, total: u64) {
        let Some((then, before)) = self.last.replace((now, total)) else { return };
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds <= 0.0 {
            self.last = Some((then, before));
            return;
        }
        let rate = total.saturating_sub(before) as f64 / seconds;
        let weight = 1.0 - (-seconds / MEMORY_SECONDS).exp();
        self.per_second = Some(match self.per_second {
            Some(known) => known + weight * (rate - known),
            None => rate,
        });
    }

    /// How much it grows per second; 0 before that is known.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
    pub(crate) fn per_second(&self) -> u64 {
        self.per_second.unwrap_or(0.0).round() as u64
    }

    /// The seconds until it has grown by so much more, rounded up; `None` while nothing moves.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
    pub(crate) fn seconds_for(&self, remaining: u64) -> Option<u64> {
        if remaining == 0 {
            return Some(0);
        }
        // Less than one in a quarter of an hour is standing still.
        let rate = self.per_second.filter(|rate| *rate > 0.001)?;
        Some((remaining as f64 / rate).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_steady_speed_is_known_from_the_second_look_on() {
        let mut speed = Speed::default();
        speed.observe(SECOND, 500);
        assert_eq!(
            (speed.per_second(), speed.seconds_for(10), speed.seconds_for(0)),
            (0, None, Some(0))
        );
        for step in 1..10 {
            speed.observe(SECOND * (step + 1), 500 + u64::from(step) * 200);
            assert_eq!((speed.per_second(), speed.seconds_for(1001)), (200, Some(6)));
        }
        speed.observe(SECOND * 10, 9999);
        assert_eq!(speed.per_second(), 200, "no time has passed");
    }

    #[test]
    fn a_change_shows_within_some_seconds_and_one_look_makes_no_jump() {
        let mut speed = Speed::default();
        let mut total = 0;
        for step in 0..20 {
            speed.observe(SECOND * step, total);
            total += 1000;
        }
        total -= 1000;
        speed.observe(SECOND * 20, total);
        assert!((800..850).contains(&speed.per_second()), "{speed:?}");
        for step in 21..200 {
            speed.observe(SECOND * step, total);
        }
        assert_eq!((speed.per_second(), speed.seconds_for(5)), (0, None));
    }
}
