use std::ops::ControlFlow;
use std::time::Instant;

use super::schedule::{Arrivals, Due};

/// Where requests go.
pub trait Sender {
    /// Why the load cannot go on.
    type Error;

    /// Returns whether a request can be sent now. A request that is due stays due until there is room, and its latency grows.
    fn has_room(&self) -> bool;

    /// Sends a request without waiting for its answer. `Break` ends the load.
    ///
    /// # Errors
    /// Why the load cannot go on.
    fn send(&mut self, due: Due, now: Instant) -> Result<ControlFlow<()>, Self::Error>;

    /// Waits until `until`, or until the sender has more room than before; takes the answers that come meanwhile.
    /// `Break` ends the load.
    ///
    /// # Errors
    /// Why the load cannot go on.
    fn wait(&mut self, until: Instant) -> Result<ControlFlow<()>, Self::Error>;

    /// A request was due before the load's end and never found room.
    fn not_sent(&mut self, due: Due);

    /// Waits until each request has its answer, until `limit` at most; accounts for those that have none.
    ///
    /// # Errors
    /// Why the load cannot go on.
    fn drain(&mut self, limit: Instant) -> Result<(), Self::Error>;
}

/// Sends what is due and waits until more is. It never waits for an answer, so a slow receiver of an open loop gets its
/// load all the same, and its latencies show how slow it is.
#[derive(Debug)]
pub struct Generator {
    arrivals: Arrivals,
}

impl Generator {
    /// A generator of these requests.
    #[must_use]
    pub const fn new(arrivals: Arrivals) -> Self {
        Self { arrivals }
    }

    /// Sends load until `end`. `Break` when the sender ended it.
    ///
    /// # Errors
    /// Those of the sender.
    pub fn send_until<S: Sender>(&mut self, sender: &mut S, end: Instant) -> Result<ControlFlow<()>, S::Error> {
        let mut now = Instant::now();
        while now < end {
            if self.dispatch(sender, now)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let until = self.upcoming().filter(|_| sender.has_room()).map_or(end, |due| due.at.min(end));
            if sender.wait(until)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            now = Instant::now();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Ends the load at `end`: sends what became due while the generator slept, and waits for the answers until
    /// `limit`.
    ///
    /// # Errors
    /// Those of the sender.
    pub fn finish<S: Sender>(mut self, sender: &mut S, end: Instant, limit: Instant) -> Result<(), S::Error> {
        if matches!(self.arrivals, Arrivals::Open(_)) && self.dispatch(sender, Instant::now())?.is_break() {
            return Ok(());
        }
        if let Arrivals::Open(schedule) = &mut self.arrivals {
            while let Some(due) = schedule.take_due(end) {
                sender.not_sent(due);
            }
        }
        sender.drain(limit)
    }

    fn dispatch<S: Sender>(&mut self, sender: &mut S, now: Instant) -> Result<ControlFlow<()>, S::Error> {
        while sender.has_room() {
            let Some(due) = self.take_due(now) else { break };
            if sender.send(due, now)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn take_due(&mut self, now: Instant) -> Option<Due> {
        match &mut self.arrivals {
            Arrivals::Closed(events) => Some(Due { at: now, events: *events }),
            Arrivals::Open(schedule) => schedule.take_due(now),
        }
    }

    /// The next request that the clock makes due.
    fn upcoming(&self) -> Option<Due> {
        match &self.arrivals {
            Arrivals::Closed(_) => None,
            Arrivals::Open(schedule) => schedule.upcoming(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;
    use std::time::Duration;

    use super::super::schedule::{EventRatio, Schedule};
    use super::*;

    /// Has room for `room` requests, and for one more with each wait as long as answers come. Without further answers it
    /// ends the load, if it is to, or waits.
    #[derive(Default)]
    struct Recorded {
        ends_without_answers: bool,
        room: usize,
        answers: usize,
        sends: usize,
        breaks_at: Option<usize>,
        sent: Vec<Due>,
        not_sent: Vec<Due>,
        drained: bool,
    }

    impl Sender for Recorded {
        type Error = Infallible;

        fn has_room(&self) -> bool {
            self.room > 0
        }

        fn send(&mut self, due: Due, _: Instant) -> Result<ControlFlow<()>, Infallible> {
            (self.room, self.sends) = (self.room - 1, self.sends + 1);
            self.sent.push(due);
            let breaks = self.breaks_at == Some(self.sends);
            Ok(if breaks { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        }

        fn wait(&mut self, until: Instant) -> Result<ControlFlow<()>, Infallible> {
            if self.answers > 0 {
                (self.room, self.answers) = (self.room + 1, self.answers - 1);
            } else if self.ends_without_answers {
                return Ok(ControlFlow::Break(()));
            } else {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            Ok(ControlFlow::Continue(()))
        }

        fn not_sent(&mut self, due: Due) {
            self.not_sent.push(due);
        }

        fn drain(&mut self, _: Instant) -> Result<(), Infallible> {
            self.drained = true;
            Ok(())
        }
    }

    const ROOMY: usize = 1000;
    const A_LONG_TIME: Duration = Duration::from_secs(3600);

    fn open(start: Instant, end: Instant) -> Generator {
        Generator::new(Arrivals::Open(Schedule::new(start, end, 1000.0, EventRatio::fixed(1))))
    }

    #[test]
    fn an_open_loop_sends_every_request_with_the_time_it_was_due() {
        let (start, mut sender) = (Instant::now(), Recorded { room: ROOMY, ..Recorded::default() });
        let end = start + Duration::from_millis(20);
        let mut load = open(start, end);
        assert!(load.send_until(&mut sender, end).unwrap().is_continue());
        load.finish(&mut sender, end, end).unwrap();
        let dues: Vec<_> = (0..20).map(|ms| Due { at: start + Duration::from_millis(ms), events: 1 }).collect();
        assert_eq!(sender.sent, dues);
        assert!(sender.not_sent.is_empty() && sender.drained);
    }

    #[test]
    fn what_finds_no_room_is_not_forgotten() {
        let start = Instant::now();
        let end = start + Duration::from_millis(20);
        let mut sender = Recorded { room: 3, answers: 2, ends_without_answers: true, ..Recorded::default() };
        let mut load = open(start, end);
        // Every request is due.
        std::thread::sleep(Duration::from_millis(20));
        assert!(load.send_until(&mut sender, start + A_LONG_TIME).unwrap().is_break());
        load.finish(&mut sender, end, end).unwrap();
        assert_eq!((sender.sent.len(), sender.not_sent.len()), (5, 15));
        assert!(sender.sent.iter().chain(&sender.not_sent).is_sorted_by(|a, b| a.at < b.at));
    }

    #[test]
    fn a_closed_loop_sends_when_there_is_room_and_nothing_after_its_end() {
        let start = Instant::now();
        let mut sender = Recorded { room: 2, answers: 3, ends_without_answers: true, ..Recorded::default() };
        let mut load = Generator::new(Arrivals::Closed(7));
        assert!(load.send_until(&mut sender, start + A_LONG_TIME).unwrap().is_break());
        assert_eq!(sender.sent.len(), 5);
        sender.room = 1;
        load.finish(&mut sender, start, start).unwrap();
        assert_eq!(sender.sent.len(), 5);
        assert!(sender.sent.iter().all(|due| due.events == 7) && sender.not_sent.is_empty() && sender.drained);
    }

    #[test]
    fn the_sender_ends_the_load() {
        let start = Instant::now();
        let mut sender = Recorded { room: ROOMY, breaks_at: Some(1), ..Recorded::default() };
        let end = start + A_LONG_TIME;
        assert!(open(start, end).send_until(&mut sender, end).unwrap().is_break());
        assert_eq!(sender.sent.len(), 1);
    }
}
