use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Result;

/// The most events taken in one call; the rest comes with the next.
const EVENTS_PER_WAIT: usize = 512;

/// The source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The listener has a new connection.
    Listener,
    /// The completion queue holds something, or the front is asked to stop.
    CompletionQueue,
    /// The client's side of a connection.
    Client(u32),
    /// The backend's side of a tunnel.
    Backend(u32),
}

impl Source {
    const fn number(self) -> u64 {
        match self {
            Self::Listener => 0,
            Self::CompletionQueue => 1 << 32,
            Self::Client(slot) => 2 << 32 | slot as u64,
            Self::Backend(slot) => 3 << 32 | slot as u64,
        }
    }

    const fn of(number: u64) -> Self {
        match number >> 32 {
            0 => Self::Listener,
            1 => Self::CompletionQueue,
            2 => Self::Client(number as u32),
            _ => Self::Backend(number as u32),
        }
    }
}

/// The readiness that epoll reports of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) source: Source,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other side sends no more, or the connection broke. A read of less than was asked for may then be followed by
    /// another one.
    pub(crate) ended: bool,
    /// The connection broke.
    pub(crate) broken: bool,
}

/// Memory for the events of one wait.
pub(crate) struct Events(Vec<epoll::Event>);

impl Events {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS_PER_WAIT))
    }
}

/// An epoll instance. Connections are edge-triggered, so that each is registered once and never modified.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        epoll::create(epoll::CreateFlags::CLOEXEC).map(|epoll| Self { epoll })
    }

    /// Watches both directions of a connection until it is closed.
    pub(crate) fn add(&self, socket: impl AsFd, source: Source) -> Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(source.number()), flags)
    }

    /// Watches a socket level-triggered, for reading.
    pub(crate) fn add_level(&self, socket: impl AsFd, source: Source) -> Result<()> {
        epoll::add(&self.epoll, socket, EventData::new_u64(source.number()), EventFlags::IN)
    }

    pub(crate) fn remove(&self, socket: impl AsFd) -> Result<()> {
        epoll::delete(&self.epoll, socket)
    }

    /// Waits for `limit` at most, or for ever, and fills `ready` with the events.
    pub(crate) fn wait(&self, limit: Option<Duration>, events: &mut Events, ready: &mut Vec<Ready>) -> Result<()> {
        let Events(events) = events;
        ready.clear();
        events.clear();
        let limit = limit.map(timespec);
        match epoll::wait(&self.epoll, spare_capacity(events), limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let ended = EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP;
        ready.extend(events.iter().map(|event| {
            let flags = event.flags;
            Ready {
                source: Source::of(event.data.u64()),
                readable: flags.intersects(EventFlags::IN | ended),
                writable: flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP),
                ended: flags.intersects(ended),
                broken: flags.contains(EventFlags::ERR),
            }
        }));
        Ok(())
    }
}

fn timespec(duration: Duration) -> Timespec {
    let tv_sec = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: duration.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_survives_its_number() {
        for source in
            [Source::Listener, Source::CompletionQueue, Source::Client(0), Source::Client(u32::MAX), Source::Backend(7)]
        {
            assert_eq!(Source::of(source.number()), source);
        }
    }
}
