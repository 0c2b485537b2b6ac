use super::codec::{Reader, put_bytes, put_signed};
use super::incomplete::IncompleteSpans;
use super::spec::{EventTime, WindowSpec};

/// Where a part of a shard's state is kept: a number of chunks, of which the later ones count instead of the earlier ones
/// of the same keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatePlace(pub(super) EventTime, pub(super) EventTime);

impl StatePlace {
    /// Returns the place of the sessions' chunk of that number, and its number there. A shard has sessions for as long as
    /// it is there, so that 2³² chunks are not always enough.
    pub(super) fn of_sessions(number: u64) -> (Self, u32) {
        (Self(EventTime::MIN, EventTime::MIN.plus((number >> 32) as i64)), number as u32)
    }

    /// Returns the number of a chunk of the sessions; `None` for a place that is not theirs.
    pub(super) fn number_of_sessions(self, number: u32) -> Option<u64> {
        let high = u64::try_from(self.1.since(EventTime::MIN)).ok().filter(|_| self.0 == EventTime::MIN)?;
        Some(high << 32 | u64::from(number))
    }

    /// Returns it as a part of the key of a row: such keys are in the order of the places.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        // The sign is turned so that negative numbers are before the others.
        let ordered = |time: EventTime| (time.millis() ^ i64::MIN) as u64;
        (u128::from(ordered(self.0)) << 64 | u128::from(ordered(self.1))).to_be_bytes()
    }

    /// Reads what [`StatePlace::to_bytes`] has returned; `None` for what it never does.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let both = u128::from_be_bytes(bytes);
        let time = |ordered: u64| EventTime::of_bound(ordered as i64 ^ i64::MIN);
        Some(Self(time((both >> 64) as u64)?, time(both as u64)?))
    }

    /// Returns the places among which the panes of the window that ends at `end` are.
    pub(super) fn of_window(spec: WindowSpec, end: EventTime) -> std::ops::Range<Self> {
        Self(end.plus(-spec.size()), EventTime::MIN)..Self(end, EventTime::MIN)
    }

    /// Returns whether the pane of that place is in the window that ends at `end`.
    pub(super) fn is_in(self, spec: WindowSpec, end: EventTime) -> bool {
        self.1 <= end && end <= spec.last_end(self.0)
    }
}

/// A step from the state that was written last to the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// There is a chunk more. Those of a place are numbered from 0 up.
    Put {
        /// Where it is kept.
        place: StatePlace,
        /// Its number there.
        number: u32,
        /// At most [`super::MAX_CHUNK_BYTES`], unless the state of a single key is longer.
        chunk: Vec<u8>,
    },
    /// A chunk is of no more use.
    Remove {
        /// Where it is kept.
        place: StatePlace,
        /// Its number there.
        number: u32,
    },
}

/// How far a shard's results are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenUpTo {
    /// The end of the last window of which all are.
    pub(super) closed: Option<EventTime>,
    /// The end of the window of which some are, and the last of their keys.
    pub(super) within: Option<(EventTime, Box<[u8]>)>,
    /// What the results that follow have to say.
    pub(super) incomplete: IncompleteSpans,
}

impl GivenUpTo {
    /// Appends it as [`GivenUpTo::read`] reads it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.closed.is_some()) | u8::from(self.within.is_some()) << 1);
        if let Some(closed) = self.closed {
            put_signed(out, closed.millis());
        }
        if let Some((end, key)) = &self.within {
            put_signed(out, end.millis());
            put_bytes(out, key);
        }
        self.incomplete.write(out);
    }

    /// Reads what [`GivenUpTo::write`] has written; `None` for other bytes.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [flags @ 0..=3] = reader.array()? else { return None };
        let mut given = Self::default();
        if flags & 1 != 0 {
            given.closed = Some(EventTime::of_bound(reader.signed()?)?);
        }
        if flags & 2 != 0 {
            given.within = Some((EventTime::of_bound(reader.signed()?)?, reader.bytes()?.into()));
        }
        given.incomplete = IncompleteSpans::read(&mut reader)?;
        reader.is_empty().then_some(given)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = EventTime> {
        let millis = prop_oneof![-3_i64..3, any::<i32>().prop_map(i64::from)];
        prop_oneof![1 => Just(EventTime::MIN), 1 => Just(EventTime::MAX), 4 => millis.prop_map(|millis| EventTime::new(millis).unwrap())]
    }

    proptest! {
        #[test]
        fn places_come_back_and_keep_their_order(one in (time(), time()), other in (time(), time())) {
            let (one, other) = (StatePlace(one.0, one.1), StatePlace(other.0, other.1));
            prop_assert_eq!(StatePlace::from_bytes(one.to_bytes()), Some(one));
            prop_assert_eq!(one.to_bytes().cmp(&other.to_bytes()), one.cmp(&other));
        }

        #[test]
        fn what_is_given_comes_back(
            closed in prop::option::of(time()),
            within in prop::option::of((time(), prop::collection::vec(any::<u8>(), 0..20))),
            spans in prop::collection::vec((time(), time()), 0..3),
            cut in any::<prop::sample::Index>()
        ) {
            let within = within.map(|(end, key)| (end, key.into_boxed_slice()));
            let mut incomplete = IncompleteSpans::default();
            spans.iter().for_each(|(from, to)| incomplete.add(*from, *to));
            let (given, mut bytes) = (GivenUpTo { closed, within, incomplete }, Vec::new());
            given.write(&mut bytes);
            prop_assert_eq!(GivenUpTo::read(&bytes), Some(given));
            prop_assert_eq!(GivenUpTo::read(&bytes[..cut.index(bytes.len())]), None);
            bytes.push(0);
            prop_assert_eq!(GivenUpTo::read(&bytes), None);
        }
    }

    #[test]
    fn places_that_no_window_has_are_none() {
        assert_eq!(StatePlace::from_bytes([0; 16]), None);
        assert_eq!(StatePlace::from_bytes([0xff; 16]), None);
    }

    #[test]
    fn sessions_have_more_chunks_than_a_place_has_numbers() {
        for number in [0, 1, u64::from(u32::MAX), 1 << 32, (7 << 32) + 3] {
            let (place, low) = StatePlace::of_sessions(number);
            assert_eq!(place.number_of_sessions(low), Some(number));
        }
        assert!(StatePlace::of_sessions(u64::from(u32::MAX)) < StatePlace::of_sessions(1 << 32));
        assert_eq!(StatePlace(EventTime::MAX, EventTime::MAX).number_of_sessions(0), None);
    }
}
