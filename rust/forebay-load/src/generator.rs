use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::LoadError;
use crate::body::request_bytes;
use crate::connection::{Broken, Connection, ConnectionState};
use crate::options::{LoadOptions, Pacing};
use crate::poller::{Poller, Ready};
use crate::progress::{Phase, Progress};
use crate::report::LoadReport;
use crate::schedule::Schedule;
use crate::tally::{Anchor, Tally};
use crate::target::Target;

/// How often progress is shown, closed connections are opened again, and timeouts are looked for.
const TICK: Duration = Duration::from_millis(100);
/// All connections must stand within this time before the load begins.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long answers are waited for after the last request.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// Answers are some hundred bytes; a longer one comes in several reads.
const READ_BYTES: usize = 16 * 1024;

type Observer<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// One run: the connections, what is due, and what was counted.
pub(crate) struct Generator {
    options: LoadOptions,
    target: Target,
    requests: Vec<Box<[u8]>>,
    next_request: usize,
    poller: Poller,
    connections: Vec<Connection>,
    /// Connections without a request in flight, the one that rested longest first.
    idle: VecDeque<usize>,
    /// `None` in a closed loop.
    schedule: Option<Schedule>,
    tally: Tally,
    start: Instant,
    phase: Phase,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
}

impl Generator {
    pub(crate) fn new(options: &LoadOptions) -> Result<Generator, LoadError> {
        options.check()?;
        let target = Target::parse(&options.url)?;
        let now = Instant::now();
        Ok(Generator {
            requests: request_bytes(options, &target),
            options: options.clone(),
            target,
            next_request: 0,
            poller: Poller::new()?,
            connections: Vec::with_capacity(options.connections),
            idle: VecDeque::with_capacity(options.connections),
            schedule: None,
            tally: Tally::new(now, now, Anchor::Answered)?,
            start: now,
            phase: Phase::Warmup,
            ready: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    pub(crate) fn run(mut self, observe: &mut Observer<'_>) -> Result<LoadReport, LoadError> {
        self.connect_all()?;
        self.start = Instant::now();
        let from = self.start + self.options.warmup;
        let until = from + self.options.duration;
        self.tally = Tally::new(from, until, self.anchor())?;
        if let Pacing::Open { events_per_second } = self.options.pacing {
            let requests_per_second = events_per_second / self.options.batch as f64;
            self.schedule = Some(Schedule::new(self.start, until, requests_per_second));
        }
        let end = if self.load_until(from, Phase::Warmup, observe)?.is_break() {
            from
        } else {
            let _ = self.load_until(until, Phase::Measuring, observe)?;
            Instant::now().min(until)
        };
        self.tally.end_at(end);
        self.drain(observe)?;
        Ok(LoadReport::new(&self.options, &self.tally))
    }

    fn anchor(&self) -> Anchor {
        match self.options.pacing {
            Pacing::Closed => Anchor::Answered,
            Pacing::Open { .. } => Anchor::Due,
        }
    }

    fn connect_all(&mut self) -> Result<(), LoadError> {
        let unreachable = |source| LoadError::Unreachable { address: self.target.authority.clone(), source };
        let limit = Instant::now() + CONNECT_LIMIT;
        for token in 0..self.options.connections {
            let connection = Connection::open(self.target.address, token, &self.poller)?;
            if connection.state == ConnectionState::Down {
                return Err(unreachable(io::Error::from(io::ErrorKind::ConnectionRefused)));
            }
            self.connections.push(connection);
        }
        while self.idle.len() < self.connections.len() {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(unreachable(io::Error::from(io::ErrorKind::TimedOut)));
            }
            self.poller.wait(left, &mut self.ready)?;
            for ready in &self.ready {
                let Some(connection) = self.connections.get_mut(ready.token) else { continue };
                if connection.state == ConnectionState::Connecting {
                    connection.connected(&self.poller).map_err(|Broken(source)| unreachable(source))?;
                    self.idle.push_back(ready.token);
                }
            }
        }
        Ok(())
    }

    /// Sends load until `end`. `Break` when the observer ended it.
    fn load_until(
        &mut self,
        end: Instant,
        phase: Phase,
        observe: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>, LoadError> {
        let mut now = Instant::now();
        if self.observe(phase, now, observe).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut tick = now + TICK;
        while now < end {
            self.dispatch(now)?;
            self.wait(tick.min(end))?;
            now = Instant::now();
            if now >= tick {
                self.housekeeping(now)?;
                tick = now + TICK;
                if self.observe(phase, now, observe).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Waits, for a bounded time, for the answers of what is in flight, and accounts for what got none.
    fn drain(&mut self, observe: &mut Observer<'_>) -> Result<(), LoadError> {
        let limit = Instant::now() + DRAIN_LIMIT.min(self.options.answer_timeout);
        // The end of the measured time was told by the clock, so the observer's wish to stop changes nothing here.
        let _ = self.observe(Phase::Draining, Instant::now(), observe);
        if self.schedule.is_some() {
            // Due in the last moment before the end, while the generator slept.
            self.dispatch(Instant::now())?;
        }
        let end = self.start + self.options.warmup + self.tally.measured();
        while let Some(due) = self.schedule.as_mut().and_then(|schedule| schedule.take_due(end)) {
            self.tally.never_sent(due);
        }
        self.schedule = None;
        let mut now = Instant::now();
        while now < limit && self.connections.iter().any(Connection::busy) {
            self.wait(limit.min(now + TICK))?;
            now = Instant::now();
        }
        for connection in self.connections.iter().filter(|connection| connection.busy()) {
            self.tally.never_answered(connection.due, now);
        }
        Ok(())
    }

    fn observe(&mut self, phase: Phase, now: Instant, observe: &mut Observer<'_>) -> ControlFlow<()> {
        self.phase = phase;
        observe(&Progress {
            phase,
            elapsed: now.saturating_duration_since(self.start),
            acknowledged_events: self.tally.acknowledged * self.options.batch as u64,
            refused_requests: self.tally.refused,
        })
    }

    /// Sends on idle connections what is due: in a closed loop one request each, at once.
    fn dispatch(&mut self, now: Instant) -> Result<(), LoadError> {
        while !self.idle.is_empty() {
            let due = match &mut self.schedule {
                None => now,
                Some(schedule) => match schedule.take_due(now) {
                    Some(due) => due,
                    None => break,
                },
            };
            let Some(token) = self.idle.pop_front() else { break };
            self.send(token, due, now)?;
        }
        match self.schedule.as_ref().and_then(Schedule::upcoming) {
            // With no connection free, the next event is an answer, not the clock.
            Some(due) if !self.idle.is_empty() => self.poller.wake_after(due.saturating_duration_since(now)),
            Some(_) => self.poller.silence(),
            None => Ok(()),
        }
    }

    fn send(&mut self, token: usize, due: Instant, now: Instant) -> Result<(), LoadError> {
        let request = self.next_request;
        self.next_request = (request + 1) % self.requests.len();
        let (Some(connection), Some(bytes)) = (self.connections.get_mut(token), self.requests.get(request)) else {
            return Ok(());
        };
        // The wait for a connection is the server's doing and part of the latency; only what comes on top is lag.
        self.tally.sent(due.max(connection.since), now);
        if connection.send(request, bytes, due, now, &self.poller).is_err() {
            return self.broke(token);
        }
        Ok(())
    }

    fn wait(&mut self, until: Instant) -> Result<(), LoadError> {
        let limit = until.saturating_duration_since(Instant::now());
        self.poller.wait(limit, &mut self.ready)?;
        let mut events = std::mem::take(&mut self.ready);
        for event in events.drain(..) {
            self.progress(event)?;
        }
        self.ready = events;
        Ok(())
    }

    fn progress(&mut self, event: Ready) -> Result<(), LoadError> {
        let Some(connection) = self.connections.get_mut(event.token) else { return Ok(()) };
        match connection.state {
            ConnectionState::Connecting => match connection.connected(&self.poller) {
                Ok(()) => self.idle.push_back(event.token),
                Err(_) => self.broke(event.token)?,
            },
            ConnectionState::Idle | ConnectionState::Awaiting => self.receive(event.token)?,
            ConnectionState::Sending { request, .. } => {
                let bytes = self.requests.get(request).map(|bytes| &bytes[..]).unwrap_or_default();
                if event.readable {
                    self.receive(event.token)?;
                } else if connection.send_rest(bytes, &self.poller).is_err() {
                    self.broke(event.token)?;
                }
            }
            ConnectionState::Down => {}
        }
        Ok(())
    }

    fn receive(&mut self, token: usize) -> Result<(), LoadError> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        match connection.receive(&mut self.buffer) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                let now = Instant::now();
                self.tally.answered(answer.status, connection.due, now);
                if answer.closes {
                    return self.reopen(token);
                }
                connection.rest(now);
                let sends_at_once = self.schedule.is_none() && self.phase != Phase::Draining;
                if sends_at_once {
                    return self.send(token, now, now);
                }
                self.idle.push_back(token);
            }
            Err(_) => self.broke(token)?,
        }
        Ok(())
    }

    fn broke(&mut self, token: usize) -> Result<(), LoadError> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        // A server may close a connection that rests.
        if connection.state == ConnectionState::Idle {
            self.idle.retain(|idle| *idle != token);
        } else {
            self.tally.failed(Instant::now());
        }
        connection.shut(&self.poller)
    }

    fn reopen(&mut self, token: usize) -> Result<(), LoadError> {
        if let Some(connection) = self.connections.get_mut(token) {
            *connection = Connection::open(self.target.address, token, &self.poller)?;
        }
        Ok(())
    }

    /// Opens closed connections again and gives up requests that wait too long.
    fn housekeeping(&mut self, now: Instant) -> Result<(), LoadError> {
        for token in 0..self.connections.len() {
            let Some(connection) = self.connections.get(token) else { continue };
            let over = now.saturating_duration_since(connection.since) > self.options.answer_timeout;
            if over && connection.busy() {
                self.tally.timed_out(connection.due, now);
            }
            let waits = connection.busy() || connection.state == ConnectionState::Connecting;
            if connection.state == ConnectionState::Down || (over && waits) {
                self.reopen(token)?;
            }
        }
        Ok(())
    }
}
