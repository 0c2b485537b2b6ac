use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use forebay_core::load::{Anchor, Due, Sender};

use crate::LoadError;
use crate::body::request_bytes;
use crate::connection::{Broken, Connection, ConnectionState};
use crate::options::{LoadOptions, Pacing};
use crate::poller::{Poller, Ready};
use crate::progress::{Phase, Progress};
use crate::tally::HttpTally;
use crate::target::Target;

/// How often progress is shown, closed connections are opened again, and timeouts are checked.
const TICK: Duration = Duration::from_millis(100);
/// How long all connections together may take to open before the load begins.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The size of a read. Answers are some hundred bytes; a longer one comes in several reads.
const READ_BYTES: usize = 16 * 1024;

/// A callback that gets the progress of the run; `Break` ends the load.
pub(crate) type Observer<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// Sends requests over keep-alive connections, one in flight on each.
pub(crate) struct HttpSender<'a> {
    options: &'a LoadOptions,
    observer: &'a mut Observer<'a>,
    target: Target,
    requests: Vec<Box<[u8]>>,
    next_request: usize,
    poller: Poller,
    connections: Vec<Connection>,
    /// Connections without a request in flight, the longest idle first.
    idle: VecDeque<usize>,
    pub(crate) tally: HttpTally,
    start: Instant,
    phase: Phase,
    /// When progress is shown next.
    tick: Instant,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
}

impl<'a> HttpSender<'a> {
    /// Opens all connections.
    pub(crate) fn connect(options: &'a LoadOptions, observer: &'a mut Observer<'a>) -> Result<Self, LoadError> {
        let target = Target::parse(&options.url)?;
        let now = Instant::now();
        let mut sender = HttpSender {
            requests: request_bytes(options, &target),
            options,
            observer,
            target,
            next_request: 0,
            poller: Poller::new()?,
            connections: Vec::with_capacity(options.connections),
            idle: VecDeque::with_capacity(options.connections),
            tally: HttpTally::new(Anchor::Answered, now, now),
            start: now,
            phase: Phase::Warmup,
            tick: now,
            ready: Vec::new(),
            buffer: vec![0; READ_BYTES],
        };
        sender.connect_all()?;
        Ok(sender)
    }

    /// Sets the start of the load and the tally that counts it.
    pub(crate) fn begin(&mut self, start: Instant, tally: HttpTally) {
        (self.start, self.tally) = (start, tally);
    }

    /// Begins a phase and tells the observer.
    pub(crate) fn enter(&mut self, phase: Phase) -> ControlFlow<()> {
        let now = Instant::now();
        (self.phase, self.tick) = (phase, now + TICK);
        self.observe(now)
    }

    fn is_closed_loop(&self) -> bool {
        self.options.pacing == Pacing::Closed
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

    fn observe(&mut self, now: Instant) -> ControlFlow<()> {
        (self.observer)(&Progress {
            phase: self.phase,
            elapsed: now.saturating_duration_since(self.start),
            acknowledged_events: self.tally.load.accepted.events,
            refused_requests: self.tally.load.refused.requests,
        })
    }

    fn send_on(&mut self, token: usize, due: Due, now: Instant) -> Result<(), LoadError> {
        let request = self.next_request;
        self.next_request = (request + 1) % self.requests.len();
        let (Some(connection), Some(bytes)) = (self.connections.get_mut(token), self.requests.get(request)) else {
            return Ok(());
        };
        // The wait for a connection is the server's fault and part of the latency; only the time beyond it is lag.
        self.tally.load.sent(due.at.max(connection.since), now);
        if connection.send(request, bytes, due, now, &self.poller).is_err() {
            return self.broke(token);
        }
        Ok(())
    }

    fn poll(&mut self, until: Instant) -> Result<(), LoadError> {
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
                let due = connection.due;
                self.tally.answered(answer.status, due, now);
                if answer.closes {
                    return self.reopen(token);
                }
                connection.rest(now);
                // A closed loop sends on at once, before the answers of other connections are read.
                if self.is_closed_loop() && self.phase != Phase::Draining {
                    return self.send_on(token, Due { at: now, ..due }, now);
                }
                self.idle.push_back(token);
            }
            Err(_) => self.broke(token)?,
        }
        Ok(())
    }

    fn broke(&mut self, token: usize) -> Result<(), LoadError> {
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        // A server may close an idle connection.
        if connection.state == ConnectionState::Idle {
            self.idle.retain(|idle| *idle != token);
        } else {
            self.tally.connection_failed(Instant::now());
        }
        connection.shut(&self.poller)
    }

    fn reopen(&mut self, token: usize) -> Result<(), LoadError> {
        if let Some(connection) = self.connections.get_mut(token) {
            *connection = Connection::open(self.target.address, token, &self.poller)?;
        }
        Ok(())
    }

    /// Opens closed connections again and gives up requests that have waited too long.
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

impl Sender for HttpSender<'_> {
    type Error = LoadError;

    fn has_room(&self) -> bool {
        !self.idle.is_empty()
    }

    fn send(&mut self, due: Due, now: Instant) -> Result<ControlFlow<()>, LoadError> {
        if let Some(token) = self.idle.pop_front() {
            self.send_on(token, due, now)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// `Break` when the observer ends the load.
    fn wait(&mut self, until: Instant) -> Result<ControlFlow<()>, LoadError> {
        if !self.is_closed_loop() {
            // With no connection free, the next event is an answer, not the clock.
            match self.has_room() {
                true => self.poller.wake_after(until.saturating_duration_since(Instant::now()))?,
                false => self.poller.silence()?,
            }
        }
        self.poll(until.min(self.tick))?;
        let now = Instant::now();
        if now < self.tick {
            return Ok(ControlFlow::Continue(()));
        }
        self.housekeeping(now)?;
        self.tick = now + TICK;
        Ok(self.observe(now))
    }

    fn not_sent(&mut self, due: Due) {
        let end = self.tally.load.end().unwrap_or(due.at);
        self.tally.never_sent(due, end);
    }

    fn drain(&mut self, limit: Instant) -> Result<(), LoadError> {
        let mut now = Instant::now();
        while now < limit && self.connections.iter().any(Connection::busy) {
            self.poll(limit.min(now + TICK))?;
            now = Instant::now();
        }
        if !self.is_closed_loop() {
            for connection in self.connections.iter().filter(|connection| connection.busy()) {
                self.tally.never_answered(connection.due, now);
            }
        }
        Ok(())
    }
}
