use std::borrow::Cow;

use forebay_core::Timestamp;
use forebay_core::ingest::{InvalidEvent, Parsed};
use forebay_core::record::Event;

#[test]
fn recycling_keeps_the_memory_and_nothing_else() {
    let body = b"{}".to_vec();
    let mut parsed = Parsed::default();
    for index in 0..100 {
        parsed.events.push(Event {
            value: Cow::Borrowed(&body[..]),
            key: None,
            headers: Cow::Borrowed(&[]),
            timestamp: Timestamp(0),
        });
        parsed.invalid.push(InvalidEvent { index, span: &body, reason: String::new(), of_field: false });
    }
    let (events, invalid) = (parsed.events.capacity(), parsed.invalid.capacity());
    let recycled: Parsed<'static> = parsed.recycle();
    assert!(recycled.events.is_empty() && recycled.invalid.is_empty());
    assert_eq!((recycled.events.capacity(), recycled.invalid.capacity()), (events, invalid));
}

#[test]
fn the_place_of_an_accepted_event_counts_what_was_set_aside() {
    for pattern in 0_u32..1 << 10 {
        let (good, bad): (Vec<usize>, Vec<usize>) = (0..10).partition(|index| pattern & (1 << index) != 0);
        let mut parsed = Parsed::default();
        parsed.invalid.extend(bad.iter().map(|index| InvalidEvent {
            index: *index,
            span: b"",
            reason: String::new(),
            of_field: false,
        }));
        let places: Vec<usize> = (0..good.len()).map(|accepted| parsed.index_in_body(accepted)).collect();
        assert_eq!(places, good, "{pattern:b}");
    }
}
