//! What a processor has counted since it was made: part of its position's row, so that each record counts once.

use super::rows::take_array;

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counts of one processor. A later release adds some at the end.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[$doc])* pub $name: u64,)+ }

        impl Totals {
            const COUNT: u8 = [$(stringify!($name)),+].len() as u8;

            pub(super) fn encode(&self, out: &mut Vec<u8>) {
                out.push(Self::COUNT);
                $(out.extend_from_slice(&self.$name.to_le_bytes());)+
            }

            /// Reads what [`Totals::encode`] has written; what an earlier release did not count is 0.
            pub(super) fn decode(rest: &mut &[u8]) -> Option<Self> {
                let [mut left] = take_array(rest)?;
                let mut next = || {
                    if left == 0 {
                        return Some(0);
                    }
                    left -= 1;
                    take_array(rest).map(u64::from_le_bytes)
                };
                Some(Self { $($name: next()?,)+ })
            }
        }
    };
}

totals! {
    /// Records of the source that were read.
    events_processed,
    /// Records that were late for every window.
    late_events,
    /// Records that were too far ahead of the clock to move the watermark.
    future_events,
    /// Records for which a predicate was neither true nor false: they do not match.
    filter_failures,
    /// Values that an aggregation could make nothing of.
    skipped,
    /// Records that could not be processed, and went to the stream of dead letters.
    dead_letters,
    /// Records that retention had deleted, or that are damaged, before they were read.
    records_lost,
    /// Records that were written to the sink.
    results,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_also_from_an_earlier_release() {
        let totals = Totals { events_processed: 7, results: u64::MAX, late_events: 1, ..Totals::default() };
        let mut bytes = Vec::new();
        totals.encode(&mut bytes);
        assert_eq!(Totals::decode(&mut &bytes[..]), Some(totals));
        assert_eq!(Totals::decode(&mut &bytes[..bytes.len() - 1]), None);
        let mut earlier = vec![1];
        earlier.extend_from_slice(&7_u64.to_le_bytes());
        assert_eq!(Totals::decode(&mut &earlier[..]), Some(Totals { events_processed: 7, ..Totals::default() }));
    }
}
