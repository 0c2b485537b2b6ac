use std::fmt::Write as _;

use forebay_core::telemetry::{SUB_BUCKETS, Snapshot, VALUE_BUCKETS};

/// Lines for each halving of the distance to 100 %.
const TICKS_PER_HALF: f64 = 5.0;
const MICROS_PER_MILLI: f64 = 1e3;

/// The latencies as HdrHistogram's own tools print and plot them (`.hgrm`): value in milliseconds, percentile, how many
/// are at most that, and 1/(1 − percentile). Format: `AbstractHistogram.outputPercentileDistribution` of
/// <https://github.com/HdrHistogram/HdrHistogram>.
pub(crate) fn percentile_distribution(latencies: &Snapshot) -> String {
    let milli = |micros: f64| micros / MICROS_PER_MILLI;
    let (total, max) = (latencies.count(), latencies.max());
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    // Writing into a String cannot fail.
    let mut quantile = 0.0;
    let mut counted = 0;
    while counted < total {
        let micros = latencies.percentile(quantile * 100.0);
        counted = if micros == max { total } else { latencies.cumulative(&[micros]).first().copied().unwrap_or(total) };
        let (value, inverse) = (milli(micros as f64), 1.0 / (1.0 - quantile));
        let _ = writeln!(text, "{value:>12.3} {quantile:>2.12} {counted:>10} {inverse:>14.2}");
        quantile = next_quantile(quantile);
    }
    if total > 0 {
        let _ = writeln!(text, "{:>12.3} {:>2.12} {total:>10}", milli(max as f64), 1.0);
    }
    let (mean, deviation) = (milli(latencies.mean()), milli(latencies.standard_deviation()));
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(text, "#[Max     = {:>12.3}, Total count    = {total:>12}]", milli(max as f64));
    let _ = writeln!(text, "#[Buckets = {VALUE_BUCKETS:>12}, SubBuckets     = {SUB_BUCKETS:>12}]");
    text
}

/// The next percentile shown: each halving of the distance to 100 % has the same number of lines.
fn next_quantile(quantile: f64) -> f64 {
    let halvings = (1.0 / (1.0 - quantile)).log2().floor() + 1.0;
    quantile + 1.0 / (TICKS_PER_HALF * halvings.exp2())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use forebay_core::telemetry::Histogram;

    use super::*;

    #[test]
    fn rows_rise_to_the_last_value() {
        let histogram = Histogram::new();
        for millis in 1..=1000 {
            histogram.record_micros(millis * 1000);
        }
        let text = percentile_distribution(&histogram.snapshot());
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|number| number.parse().unwrap()).collect())
            .collect();
        assert!(rows.len() > 20, "{text}");
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
        let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((median[0] - 500.0).abs() < 1.0 && (median[3] - 2.0).abs() < 1e-9, "{median:?}");
        let last = rows.last().unwrap();
        assert_eq!((last[1], last[2], last.len()), (1.0, 1000.0, 3));
        assert!(text.contains("Total count    =         1000]"), "{text}");
    }

    #[test]
    fn nothing_measured_is_an_empty_table() {
        let text = percentile_distribution(&Snapshot::default());
        assert!(text.lines().skip(2).all(|line| line.starts_with('#')), "{text}");
    }
}
