use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

use crate::LoadError;

/// The most events taken in one call; the rest comes with the next.
const EVENTS_PER_WAIT: usize = 256;
const TIMER: u64 = u64::MAX;

/// The readiness of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    pub(crate) readable: bool,
}

/// An epoll instance with a timer of its own: epoll's timeout counts milliseconds, and open-loop requests are due at
/// microseconds.
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> Result<Poller, LoadError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(LoadError::system("epoll_create"))?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(LoadError::system("timerfd_create"))?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)
            .map_err(LoadError::system("epoll_ctl"))?;
        Ok(Poller { epoll, timer, events: Vec::with_capacity(EVENTS_PER_WAIT) })
    }

    pub(crate) fn add(&self, socket: impl AsFd, token: usize, writable: bool) -> Result<(), LoadError> {
        epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), interest(writable))
            .map_err(LoadError::system("epoll_ctl"))
    }

    pub(crate) fn modify(&self, socket: impl AsFd, token: usize, writable: bool) -> Result<(), LoadError> {
        epoll::modify(&self.epoll, socket, EventData::new_u64(token as u64), interest(writable))
            .map_err(LoadError::system("epoll_ctl"))
    }

    pub(crate) fn remove(&self, socket: impl AsFd) -> Result<(), LoadError> {
        epoll::delete(&self.epoll, socket).map_err(LoadError::system("epoll_ctl"))
    }

    /// Ends the next [`Poller::wait`] after `delay`, once. Replaces the timer's last setting, also when it has fired.
    pub(crate) fn wake_after(&self, delay: Duration) -> Result<(), LoadError> {
        // A zero value would disarm the timer.
        let it_value = timespec(delay.max(Duration::from_nanos(1)));
        let once = Itimerspec { it_interval: timespec(Duration::ZERO), it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)
            .map(|_| ())
            .map_err(LoadError::system("timerfd_settime"))
    }

    pub(crate) fn silence(&self) -> Result<(), LoadError> {
        let never = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(Duration::ZERO) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &never)
            .map(|_| ())
            .map_err(LoadError::system("timerfd_settime"))
    }

    /// Waits for `limit` at most and fills `ready` with the events.
    pub(crate) fn wait(&mut self, limit: Duration, ready: &mut Vec<Ready>) -> Result<(), LoadError> {
        ready.clear();
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timespec(limit))) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(errno) => return Err(LoadError::system("epoll_wait")(errno)),
        }
        let broken = EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP;
        for event in &self.events {
            let (token, flags) = (event.data.u64(), event.flags);
            if token != TIMER {
                ready.push(Ready { token: token as usize, readable: flags.intersects(EventFlags::IN | broken) });
            }
        }
        Ok(())
    }
}

fn interest(writable: bool) -> EventFlags {
    if writable { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}
