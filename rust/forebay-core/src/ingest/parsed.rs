use super::problem::placed;
use crate::record::Event;

/// The policy for a body in which some events are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// The whole body is refused at the first invalid event.
    Refuse,
    /// The invalid events are set aside with their reasons, the others are accepted.
    Quarantine,
}

/// An event that is valid JSON but not a valid event of its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEvent<'a> {
    /// Its index in the body, from 0.
    pub index: usize,
    /// The event as sent.
    pub span: &'a [u8],
    /// Why it is invalid, with the field's name.
    pub reason: String,
    /// True when one field is wrong: the reason then begins with its name.
    pub of_field: bool,
}

impl InvalidEvent<'_> {
    /// The text that a refusal of the body has for it; `alone` when it is the whole body.
    #[must_use]
    pub fn refusal(&self, alone: bool) -> String {
        placed((!alone).then_some(self.index), self.of_field, &self.reason)
    }

    fn without_span(self) -> InvalidEvent<'static> {
        InvalidEvent { span: &[], ..self }
    }
}

/// The events of one body, valid and invalid, in the body's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The events that are accepted.
    pub events: Vec<Event<'a>>,
    /// The events that are set aside; empty under [`OnInvalid::Refuse`].
    pub invalid: Vec<InvalidEvent<'a>>,
}

impl Parsed<'_> {
    /// Where an accepted event stands in the body: those that are set aside count too.
    #[must_use]
    pub fn index_in_body(&self, accepted: usize) -> usize {
        self.invalid.iter().fold(accepted, |index, invalid| index + usize::from(invalid.index <= index))
    }

    /// Forgets the contents and keeps the memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.invalid.clear();
    }

    /// Empties the memory for a body of another lifetime. A worker keeps one of these from body to body, because
    /// growing a fresh vector for each body touches fresh pages each time.
    #[must_use]
    pub fn recycle<'b>(mut self) -> Parsed<'b> {
        self.clear();
        // Collecting an emptied vector's iterator of the same layout reuses its allocation; the closures never run.
        Parsed {
            events: self.events.into_iter().map(Event::into_owned).collect(),
            invalid: self.invalid.into_iter().map(InvalidEvent::without_span).collect(),
        }
    }
}
