use std::borrow::Cow;

use forebay_core::Timestamp;
use forebay_core::ingest::{Event, InvalidEvent, Parsed};

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
        parsed.invalid.push(InvalidEvent { index, span: &body, reason: String::new() });
    }
    let (events, invalid) = (parsed.events.capacity(), parsed.invalid.capacity());
    let recycled: Parsed<'static> = parsed.recycle();
    assert!(recycled.events.is_empty() && recycled.invalid.is_empty());
    assert_eq!((recycled.events.capacity(), recycled.invalid.capacity()), (events, invalid));
}
