use std::ops::Range;
use std::time::Instant;

use forebay_core::{Body, CompletionId, Engine, Error, ErrorKind, Request};

use crate::answer::{Clock, write, write_acknowledgement};
use crate::control::Tunnels;
use crate::head::{Head, Ingest};
use crate::limits::{
    ANSWER_TIME, BODY_STEP_BYTES, CROWDED_IDLE_TIME, HEAD_TIME, IDLE_TIME, LINGER_TIME, Limits, MAX_READ_AHEAD,
};
use crate::memory_budget::Reserved;
use crate::principals::Principals;
use crate::refusal::Family;
use crate::socket::{Read, Socket};
use crate::stats::{Counted, Stats};

/// The most steps of one connection in a turn, so that a sender that never pauses does not hold up the others.
const STEPS: usize = 64;
/// The most bytes of a refused body that are read and dropped.
const LINGER_BYTES: usize = 32 << 20;
/// The size of a connection's first read.
const FIRST_READ: usize = 8 * 1024;

/// The stage of a connection's current request.
#[derive(Debug)]
enum Stage {
    /// Reads a head.
    Head,
    /// Reads a body.
    Body(Box<Ingest>, Reserved, Counted),
    /// Waits for the commit.
    Commit { path: String, _counted: Counted },
    /// Writes the answer.
    Answer,
    /// Reads and drops the bytes that a refused sender still writes; counts them.
    Linger(usize),
}

/// The next step of a connection after its turn.
#[derive(Debug)]
pub(crate) enum ConnectionAction {
    /// It waits for an event.
    Wait,
    /// It submits a request to the engine, whose outcome comes with the connection's completion id.
    Submit(Request),
    /// It becomes a tunnel to the server behind.
    Tunnel,
    /// It wants another turn after the others had theirs.
    Again,
    /// It has ended.
    Close,
}

/// The state that all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: std::sync::Arc<Engine>,
    pub(crate) limits: Limits,
    pub(crate) principals: std::sync::Arc<Principals>,
    pub(crate) stats: std::sync::Arc<Stats>,
    pub(crate) tunnels: std::sync::Arc<Tunnels>,
    pub(crate) clock: Clock,
    pub(crate) stopping: bool,
    /// Counts requests, so that each has a completion id of its own for longer than any of them takes.
    pub(crate) requests: u32,
}

/// A body within the bytes that were read with it, so that it is not copied.
struct Part(Vec<u8>, Range<usize>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        self.0.get(self.1.clone()).unwrap_or_default()
    }
}

/// A connection whose requests the front reads itself.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    slot: u32,
    /// Numbers the request, which tells its outcome from those of others on the same slot.
    request: u32,
    stage: Stage,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    close: bool,
    linger: bool,
    /// The size of the last request, so that the next one comes in one read.
    read_ahead: usize,
    /// When its last answer was written, or when it began.
    idle_since: Instant,
    pub(crate) deadline: Option<Instant>,
    _counted: Counted,
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(socket: Socket, slot: u32, shared: &Shared, now: Instant) -> Self {
        Self {
            socket,
            slot,
            request: 0,
            stage: Stage::Head,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            close: false,
            linger: false,
            read_ahead: FIRST_READ,
            idle_since: now,
            deadline: Some(now + HEAD_TIME),
            _counted: Counted::new(&shared.stats, |stats| &stats.direct),
        }
    }

    /// The completion id of the current request.
    pub(crate) fn completion_id(&self) -> CompletionId {
        CompletionId(u64::from(self.request) << 32 | u64::from(self.slot))
    }

    /// The slot of the connection whose request has that id.
    pub(crate) const fn slot_of(id: CompletionId) -> u32 {
        id.0 as u32
    }

    /// Returns whether the connection waits for the outcome of the request with that id.
    pub(crate) fn awaits(&self, id: CompletionId) -> bool {
        matches!(self.stage, Stage::Commit { .. }) && self.completion_id() == id
    }

    /// Returns whether no byte of a request has come.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Head) && self.input.is_empty()
    }

    /// Returns whether the connection is idle for so long that others who wait may have its place.
    pub(crate) fn is_idle_in_a_crowd(&self, now: Instant) -> bool {
        self.is_idle() && now.saturating_duration_since(self.idle_since) >= CROWDED_IDLE_TIME
    }

    /// Returns the socket and the bytes that were read from it.
    pub(crate) fn into_parts(self) -> (Socket, Vec<u8>) {
        (self.socket, self.input)
    }

    /// Goes on until it has to wait or its steps are used up.
    pub(crate) fn turn(&mut self, shared: &mut Shared, now: Instant) -> ConnectionAction {
        for _ in 0..STEPS {
            let read = match &self.stage {
                Stage::Commit { .. } => return ConnectionAction::Wait,
                Stage::Answer => {
                    if let Some(turn) = self.flush(shared, now) {
                        return turn;
                    }
                    continue;
                }
                Stage::Linger(dropped) if *dropped > LINGER_BYTES => return ConnectionAction::Close,
                Stage::Linger(_) => self.discard(),
                Stage::Head => match self.head(shared, now) {
                    Some(turn) => return turn,
                    None if matches!(self.stage, Stage::Head) => self.read(),
                    None => continue,
                },
                Stage::Body(..) => match self.make_room() {
                    Err(full) => {
                        self.refuse_body(shared, &full, now, true);
                        continue;
                    }
                    Ok(true) => {
                        return self.whole(shared, now).map_or(ConnectionAction::Close, ConnectionAction::Submit);
                    }
                    Ok(false) => self.read(),
                },
            };
            match read {
                Some(Read::Some(_)) => {}
                Some(Read::Nothing) if shared.stopping && self.is_idle() => return ConnectionAction::Close,
                Some(Read::Nothing) => return ConnectionAction::Wait,
                Some(Read::End) if matches!(self.stage, Stage::Body(..)) => self.broke_off(shared, now),
                Some(Read::End) | None => return ConnectionAction::Close,
            }
        }
        ConnectionAction::Again
    }

    /// Reads on; `None` when the connection is gone.
    fn read(&mut self) -> Option<Read> {
        if !self.socket.is_readable() {
            return Some(Read::Nothing);
        }
        if matches!(self.stage, Stage::Head) && self.input.len() == self.input.capacity() {
            self.input.reserve_exact(self.read_ahead.max(self.input.len()));
        }
        self.socket.read_more(&mut self.input).ok()
    }

    /// Reserves memory for the body's bytes so far and for one step more. True when the body is whole.
    fn make_room(&mut self) -> Result<bool, Error> {
        let Stage::Body(ingest, reserved, _) = &mut self.stage else { return Ok(false) };
        let come = self.input.len().saturating_sub(ingest.body_at).min(ingest.length);
        if come as u64 >= reserved.bytes() {
            let step = come.max(BODY_STEP_BYTES).min(ingest.length - come);
            reserved.grow_to((come + step) as u64)?;
            let end = ingest.body_at + come + step;
            if self.input.capacity() < end {
                self.input.reserve_exact(end - self.input.len());
            }
        }
        Ok(come == ingest.length)
    }

    fn discard(&mut self) -> Option<Read> {
        if !self.socket.is_readable() {
            return Some(Read::Nothing);
        }
        self.input.clear();
        self.input.reserve_exact(FIRST_READ);
        let read = self.socket.read_more(&mut self.input).ok();
        if let Stage::Linger(dropped) = &mut self.stage {
            *dropped += self.input.len();
        }
        read
    }

    /// Looks for a head in the bytes read so far. `None` when more must be read or the stage has changed.
    fn head(&mut self, shared: &mut Shared, now: Instant) -> Option<ConnectionAction> {
        if self.input.is_empty() {
            return None;
        }
        match Head::read(&self.input, &shared.principals, shared.limits.body_bytes) {
            Head::Partial => {
                // The limit counts from the head's first byte, not from each one.
                let limit = now + HEAD_TIME;
                self.deadline = Some(self.deadline.map_or(limit, |deadline| deadline.min(limit)));
                None
            }
            Head::Unusual => Some(ConnectionAction::Tunnel),
            Head::Ingest(ingest) => {
                self.close = ingest.close || shared.stopping;
                self.deadline = Some(now + shared.limits.body_time);
                let reserved = Reserved::new(&shared.limits.memory_budget, ingest.principal.limiter.as_ref());
                let counted = Counted::new(&shared.stats, |stats| &stats.requests);
                self.stage = Stage::Body(ingest, reserved, counted);
                None
            }
        }
    }

    /// Makes the request of a whole body.
    fn whole(&mut self, shared: &mut Shared, now: Instant) -> Option<Request> {
        let Stage::Body(ingest, _reserved, counted) = std::mem::replace(&mut self.stage, Stage::Head) else {
            return None;
        };
        let Ingest { path, route, stream, principal, encoding, on_invalid, key, body_at, length, .. } = *ingest;
        let end = body_at + length;
        let mut input = std::mem::take(&mut self.input);
        self.read_ahead = end.saturating_add(256).clamp(FIRST_READ, MAX_READ_AHEAD);
        if input.len() > end {
            self.input = input.split_off(end);
        }
        let body: Body = Box::new(Part(input, body_at..end));
        shared.requests = shared.requests.wrapping_add(1);
        self.request = shared.requests;
        self.stage = Stage::Commit { path, _counted: counted };
        self.deadline = Some(now + shared.limits.ack_time);
        let (allowed, limiter) = (principal.allowed.clone(), principal.limiter.clone());
        Some(Request { encoding, on_invalid, key, allowed, stream, limiter, ..Request::new(route, body) })
    }

    fn broke_off(&mut self, shared: &mut Shared, now: Instant) {
        // The client is answered all the same: it still reads if it has only closed its sending side.
        self.refuse_body(shared, &Error::new(ErrorKind::Malformed, "the body broke off"), now, false);
    }

    fn refuse_body(&mut self, shared: &mut Shared, error: &Error, now: Instant, linger: bool) {
        if let Stage::Body(ingest, ..) = &self.stage {
            let path = ingest.path.clone();
            shared.engine.counters().refused(ingest.route.api, error.kind());
            self.close = true;
            self.refuse(shared, &path, error, now, linger);
        }
    }

    /// Refuses a request that the server behind should have served.
    pub(crate) fn refuse_tunnel(&mut self, shared: &mut Shared, error: &Error, now: Instant) {
        let line = self.input.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = String::from_utf8_lossy(path).into_owned();
        self.refuse(shared, &path, error, now, true);
    }

    /// Answers with a refusal. With `linger`, the body was not read to its end, so the connection closes after the
    /// answer.
    fn refuse(&mut self, shared: &mut Shared, path: &str, error: &Error, now: Instant, linger: bool) {
        let answer = Family::of(path).refusal(error);
        self.linger = linger;
        self.close |= linger || shared.stopping;
        write(&mut self.output, &answer, shared.clock.date(now), self.close);
        self.stage = Stage::Answer;
        self.deadline = Some(now + ANSWER_TIME);
    }

    /// Answers the request that waits for its commit.
    pub(crate) fn settle(&mut self, outcome: Result<forebay_core::Receipt, Error>, shared: &mut Shared, now: Instant) {
        let Stage::Commit { path, .. } = &mut self.stage else { return };
        let path = std::mem::take(path);
        match outcome.and_then(|receipt| Ok((receipt.answer()?, receipt.level))) {
            Ok(((status, body), level)) => {
                self.close |= shared.stopping;
                let durability = (status < 300).then(|| level.durability().name());
                let date = shared.clock.date(now);
                write_acknowledgement(&mut self.output, (status, &body), durability, date, self.close);
                self.stage = Stage::Answer;
                self.deadline = Some(now + ANSWER_TIME);
            }
            Err(error) => self.refuse(shared, &path, &error, now, false),
        }
    }

    /// Acts on a passed deadline. False when the connection can only be closed.
    pub(crate) fn expire(&mut self, shared: &mut Shared, now: Instant) -> bool {
        match &self.stage {
            Stage::Head | Stage::Answer | Stage::Linger(_) => false,
            Stage::Body(..) => {
                let seconds = shared.limits.body_time.as_secs_f64();
                let late = format!("the body did not arrive within {seconds} seconds");
                self.refuse_body(shared, &Error::new(ErrorKind::RequestTimeout, late), now, false);
                true
            }
            Stage::Commit { .. } => {
                let seconds = shared.limits.ack_time.as_secs_f64();
                let detail = format!(
                    "no commit within {seconds} seconds, so whether it is stored is unknown; send it again with the \
                     same Idempotency-Key"
                );
                self.settle(Err(Error::new(ErrorKind::StorageUnavailable, detail)), shared, now);
                true
            }
        }
    }

    /// Answers a sender whose commit did not come within its own `options.timeout`: the outcome is unknown.
    pub(crate) fn give_up(&mut self, shared: &mut Shared, now: Instant) {
        let detail = "no commit within options.timeout; the outcome is unknown";
        self.settle(Err(Error::new(ErrorKind::Timeout, detail)), shared, now);
    }

    /// Writes on. `None` when everything is written and the connection goes on.
    fn flush(&mut self, shared: &Shared, now: Instant) -> Option<ConnectionAction> {
        while self.sent < self.output.len() {
            if !self.socket.is_writable() {
                return Some(ConnectionAction::Wait);
            }
            match self.socket.write(self.output.get(self.sent..).unwrap_or_default()) {
                Ok(count) => self.sent += count,
                Err(_gone) => return Some(ConnectionAction::Close),
            }
        }
        self.output.clear();
        self.sent = 0;
        if !self.close {
            self.stage = Stage::Head;
            self.idle_since = now;
            self.deadline = Some(now + IDLE_TIME);
            return None;
        }
        if !self.linger || shared.stopping {
            return Some(ConnectionAction::Close);
        }
        self.socket.end_writing();
        self.stage = Stage::Linger(0);
        self.deadline = Some(now + LINGER_TIME);
        None
    }
}
