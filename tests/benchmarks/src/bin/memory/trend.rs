//! Resident memory over time, and whether it grows.

/// One look at the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) mib: f64,
}

/// What the second half of a run shows.
#[expect(clippy::struct_field_names, reason = "the unit belongs to the name")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trend {
    /// The highest of the whole run.
    pub(crate) peak_mib: f64,
    /// The mean of the second half.
    pub(crate) mean_mib: f64,
    /// How much a straight line through the second half rises from its beginning to its end.
    pub(crate) growth_mib: f64,
}

/// The trend of these samples; they are in order.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn trend(samples: &[Sample]) -> Trend {
    let peak_mib = samples.iter().map(|sample| sample.mib).fold(0.0, f64::max);
    let half = samples.get(samples.len() / 2..).unwrap_or_default();
    let count = half.len().max(1) as f64;
    let mean = |of: fn(&Sample) -> f64| half.iter().map(of).sum::<f64>() / count;
    let (mean_seconds, mean_mib) = (mean(|sample| sample.seconds), mean(|sample| sample.mib));
    let deviation = |sample: &Sample| sample.seconds - mean_seconds;
    let spread: f64 = half.iter().map(|sample| deviation(sample).powi(2)).sum();
    let together: f64 = half.iter().map(|it| deviation(it) * (it.mib - mean_mib)).sum();
    let slope = if spread > 0.0 { together / spread } else { 0.0 };
    let span = match (half.first(), half.last()) {
        (Some(first), Some(last)) => last.seconds - first.seconds,
        _ => 0.0,
    };
    Trend { peak_mib, mean_mib, growth_mib: slope * span }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend_of(mib: &[f64]) -> Trend {
        let seconds = (0..mib.len()).map(|second| f64::from(u32::try_from(second).unwrap()));
        let samples: Vec<_> =
            seconds.zip(mib).map(|(seconds, mib)| Sample { seconds, mib: *mib }).collect();
        trend(&samples)
    }

    #[test]
    fn memory_that_is_filled_once_and_then_stays_does_not_grow() {
        let trend = trend_of(&[10.0, 60.0, 100.0, 101.0, 99.0, 101.0, 99.0, 100.0]);
        assert!(trend.growth_mib.abs() < 1.0, "{trend:?}");
        assert!((trend.peak_mib - 101.0).abs() < f64::EPSILON);
        assert!((trend.mean_mib - 99.75).abs() < f64::EPSILON);
    }

    #[test]
    fn a_leak_grows_by_what_it_leaks_in_the_second_half() {
        let trend = trend_of(&[10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 24.0]);
        assert!((trend.growth_mib - 6.0).abs() < 0.001, "{trend:?}");
    }

    #[test]
    fn few_samples_have_a_trend_as_well() {
        for samples in [&[][..], &[5.0], &[5.0, 6.0]] {
            assert!(trend_of(samples).growth_mib.is_finite());
        }
    }
}
