use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;
const MICROS_PER_MILLI: f64 = 1e3;

/// The histogram as HdrHistogram's own tools print and plot it (`.hgrm`): value in milliseconds, percentile, how many
/// are at most that, and 1/(1 − percentile). Format: `AbstractHistogram.outputPercentileDistribution` of
/// <https://github.com/HdrHistogram/HdrHistogram>.
pub(crate) fn percentile_distribution(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    // Writing into a String cannot fail.
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        let value = step.value_iterated_to() as f64 / MICROS_PER_MILLI;
        let quantile = step.quantile_iterated_to();
        count += step.count_since_last_iteration();
        let _ = match quantile {
            1.0 => writeln!(text, "{value:>12.3} {quantile:>2.12} {count:>10}"),
            _ => writeln!(text, "{value:>12.3} {quantile:>2.12} {count:>10} {:>14.2}", 1.0 / (1.0 - quantile)),
        };
    }
    let milli = |value: f64| value / MICROS_PER_MILLI;
    let (mean, deviation) = (milli(histogram.mean()), milli(histogram.stdev()));
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let (max, total) = (milli(histogram.max() as f64), histogram.len());
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {total:>12}]");
    let (buckets, each) = (histogram.buckets(), histogram.distinct_values() / usize::from(histogram.buckets()).max(1));
    let _ = writeln!(text, "#[Buckets = {buckets:>12}, SubBuckets     = {each:>12}]");
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_rise_to_the_last_value() {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        (1..=1000).for_each(|millis| histogram.record(millis * 1000).unwrap());
        let text = percentile_distribution(&histogram);
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
}
