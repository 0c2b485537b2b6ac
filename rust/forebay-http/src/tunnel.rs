use std::collections::VecDeque;
use std::time::Instant;

use crate::control::{Order, Registration, Then};
use crate::exchange::Exchange;
use crate::leaving::Leaving;
use crate::limits::{
    ANSWER_TIME, CROWDED_IDLE_TIME, HALF_CLOSED_QUIET_TIME, HALF_CLOSED_TIME, LINGER_TIME, QUIET_TIME, TUNNEL_READS,
};
use crate::socket::{Read, Socket};
use crate::stats::Counted;

/// The next step of a tunnel after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TunnelAction {
    /// It waits for epoll.
    Wait,
    /// It wants another turn after the others had theirs.
    Again,
    /// It has ended: both sockets are closed.
    Close,
    /// The client is gone; the server behind is to notice.
    Leave,
    /// It broke: both sockets are reset, so that both sides know.
    Reset,
}

/// The side of a direction that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Source,
    Sink,
}

type Pumped<T> = Result<T, Broken>;

/// One direction of a tunnel.
#[derive(Debug, Default)]
struct Direction {
    /// Bytes that were read and not yet written; those of one read at most.
    left: Vec<u8>,
    written: usize,
    /// The source sends no more.
    ended: bool,
    /// The destination takes no more: further bytes are read and dropped.
    dead: bool,
    /// The end is not passed on yet, because the destination would take it for the end of the connection.
    held: bool,
    /// The end was passed on.
    passed: bool,
    /// Bytes that were passed on.
    moved: u64,
    /// Bytes that were read.
    read: u64,
}

impl Direction {
    /// Passes on as much as both sockets allow now and shows every piece to `seen`. True when more may follow at once.
    fn pump(
        &mut self,
        from: &mut Socket,
        to: &mut Socket,
        scratch: &mut [u8],
        mut seen: impl FnMut(&[u8]),
    ) -> Pumped<bool> {
        for _ in 0..TUNNEL_READS {
            if !self.flush(to)? {
                return Ok(false);
            }
            if self.ended {
                self.pass_end(to);
                return Ok(false);
            }
            if !from.is_readable() {
                return Ok(false);
            }
            match from.read(scratch).map_err(|_| Broken::Source)? {
                Read::Nothing => {}
                Read::End => self.ended = true,
                Read::Some(count) => {
                    self.read += count as u64;
                    let piece = scratch.get(..count).unwrap_or_default();
                    seen(piece);
                    self.send(to, piece)?;
                }
            }
        }
        Ok(true)
    }

    /// Tells the destination that nothing more comes, once and unless that is to wait.
    fn pass_end(&mut self, to: &Socket) {
        if !self.held && !std::mem::replace(&mut self.passed, true) && !self.dead {
            to.end_writing();
        }
    }

    fn send(&mut self, to: &mut Socket, bytes: &[u8]) -> Pumped<()> {
        if self.dead {
            return Ok(());
        }
        let written = if to.is_writable() { to.write(bytes).map_err(|_| Broken::Sink)? } else { 0 };
        self.moved += written as u64;
        self.left.extend_from_slice(bytes.get(written..).unwrap_or_default());
        Ok(())
    }

    /// Writes what was read before. True when nothing of it is left.
    fn flush(&mut self, to: &mut Socket) -> Pumped<bool> {
        while self.written < self.left.len() && !self.dead {
            if !to.is_writable() {
                return Ok(false);
            }
            let rest = self.left.get(self.written..).unwrap_or_default();
            let written = to.write(rest).map_err(|_| Broken::Sink)?;
            self.written += written;
            self.moved += written as u64;
        }
        // The memory is freed as well, because most tunnels wait most of the time.
        self.left = Vec::new();
        self.written = 0;
        Ok(true)
    }
}

/// A connection that the server behind serves: bytes are passed on in both directions.
///
/// A tunnel reads no more from one side than the other takes, so that a slow reader slows its writer. When a client has
/// sent a whole request and closes its sending side, the tunnel keeps that from the server behind until the answer is
/// there: that server takes a half-closed connection for a closed one, and would drop the answer.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) client: Socket,
    pub(crate) backend: Socket,
    up: Direction,
    down: Direction,
    exchange: Exchange,
    /// Set when the backend has ended: until then the client's further bytes are read and dropped.
    linger: Option<Instant>,
    /// When the client last sent something.
    heard: Instant,
    /// When the server behind last sent something, or the client last took something.
    answered: Instant,
    /// Set when the backend has ended: until then the client may leave the rest of the answer unread.
    patience: Option<Instant>,
    /// Bytes to be put between the messages of the server behind.
    insertions: VecDeque<(Vec<u8>, Then)>,
    /// Further bytes of the server behind are read and dropped.
    muted: bool,
    registration: Registration,
    counted: Counted,
}

impl Tunnel {
    /// A tunnel that first passes on `first`, which was read from the client before.
    pub(crate) fn new(
        client: Socket,
        backend: Socket,
        first: Vec<u8>,
        registration: Registration,
        counted: Counted,
        now: Instant,
    ) -> Self {
        let mut exchange = Exchange::new();
        exchange.asked(&first);
        Self {
            client,
            backend,
            up: Direction { left: first, held: true, ..Direction::default() },
            down: Direction::default(),
            exchange,
            linger: None,
            heard: now,
            answered: now,
            patience: None,
            insertions: VecDeque::new(),
            muted: false,
            registration,
            counted,
        }
    }

    /// Closes the client's side for good. The rest goes on until the server behind has closed its own.
    pub(crate) fn leave(self, now: Instant) -> Leaving {
        self.client.reset();
        Leaving::new(self.backend, self.counted, now)
    }

    /// Passes on as much as goes now.
    pub(crate) fn turn(&mut self, scratch: &mut [u8], now: Instant) -> TunnelAction {
        let next = if self.obey() { self.pass_on(scratch, now) } else { TunnelAction::Reset };
        self.registration.control.note(self.down.moved, self.up.read);
        next
    }

    fn pass_on(&mut self, scratch: &mut [u8], now: Instant) -> TunnelAction {
        // The answer goes first: a server that answered and closed has said why before a write to it fails.
        let (moved, read) = (self.down.moved, self.down.read);
        let down = match self.answer(scratch) {
            Ok(down) => down,
            Err(Broken::Source) => return TunnelAction::Reset,
            Err(Broken::Sink) => return TunnelAction::Leave,
        };
        if self.down.read != read || self.down.moved != moved {
            self.answered = now;
        }
        if self.down.passed {
            self.linger.get_or_insert(now + LINGER_TIME);
        } else if self.backend.is_broken() {
            // A server that breaks off wants the reader gone: the reader gets only what it takes soon.
            let soon = now + LINGER_TIME;
            self.patience = Some(self.patience.map_or(soon, |patience| patience.min(soon)));
        } else if self.backend.has_ended() && (self.patience.is_none() || self.down.moved != moved) {
            self.patience = Some(now + ANSWER_TIME);
        }
        let read = self.up.read;
        self.up.held &= !self.may_end(now);
        let seen = |bytes: &[u8]| self.exchange.asked(bytes);
        let up = match self.up.pump(&mut self.client, &mut self.backend, scratch, seen) {
            Ok(again) if self.up.ended && self.up.held => again || self.may_end(now),
            Ok(again) => again,
            Err(Broken::Source) => return TunnelAction::Leave,
            Err(Broken::Sink) => {
                // The server behind closed. Its answer is still passed on, and its end after that.
                self.up.dead = true;
                true
            }
        };
        if self.up.read != read {
            self.heard = now;
        }
        if self.down.passed && (self.up.ended || self.is_past_linger(now)) {
            TunnelAction::Close
        } else if up || down {
            TunnelAction::Again
        } else {
            TunnelAction::Wait
        }
    }

    /// Carries out the orders of the server behind. False when the connection is to be broken off.
    fn obey(&mut self) -> bool {
        for order in self.registration.control.orders() {
            match order {
                Order::Insert(bytes, then) => {
                    self.insertions.push_back((bytes, then));
                    // Bytes that were written before come first, whether epoll has told of them or not.
                    self.backend.look_again();
                }
                Order::HangUp => {
                    self.up.dead = true;
                    self.backend.end_writing();
                }
                Order::Reset => return false,
            }
        }
        true
    }

    /// Passes on what the server behind sends, with what is to be inserted; true when there may be more.
    fn answer(&mut self, scratch: &mut [u8]) -> Pumped<bool> {
        for _ in 0..TUNNEL_READS {
            if !self.down.flush(&mut self.client)? {
                return Ok(false);
            }
            if self.insert(false) {
                continue;
            }
            if self.down.ended {
                self.down.pass_end(&self.client);
                return Ok(false);
            }
            if !self.backend.is_readable() {
                return Ok(false);
            }
            match self.backend.read(scratch) {
                Ok(Read::Nothing) => {}
                Ok(Read::End) => self.down.ended = true,
                Ok(Read::Some(count)) => {
                    self.down.read += count as u64;
                    // An insertion that was asked for before this was written may take its place.
                    if !self.obey() {
                        return Err(Broken::Source);
                    }
                    let piece = scratch.get(..count).unwrap_or_default();
                    let passed = match self.insertions.front() {
                        Some((_, Then::End)) if self.exchange.is_between_answers() => Some(0),
                        Some((_, Then::Drop)) => self.exchange.close_frame_in(piece),
                        _ => None,
                    };
                    let piece = passed.map_or(piece, |passed| piece.get(..passed).unwrap_or_default());
                    if !self.muted {
                        self.exchange.answered(piece);
                        self.down.send(&mut self.client, piece)?;
                    }
                    if passed.is_some() {
                        self.insert(true);
                    }
                }
                // Nothing that it sends is wanted any more.
                Err(_) if self.muted => self.down.ended = true,
                Err(_) => return Err(Broken::Source),
            }
        }
        Ok(true)
    }

    /// Puts the next insertion behind what was passed on, if a message ends there. Unless it is to be there `now`, what
    /// the server behind has written already comes first.
    fn insert(&mut self, now: bool) -> bool {
        let Some((_, then)) = self.insertions.front() else { return false };
        let more = self.backend.is_readable() && !self.down.ended;
        if !self.exchange.is_between_answers() || (*then != Then::End && more && !now) {
            return false;
        }
        let Some((bytes, then)) = self.insertions.pop_front() else { return false };
        if !self.muted {
            self.down.left.extend_from_slice(&bytes);
        }
        self.muted |= then != Then::GoOn;
        self.down.ended |= then == Then::End;
        true
    }

    /// Returns whether the client's end may be passed on: the client no longer waits for an answer, or the answer does
    /// not come.
    pub(crate) fn may_end(&self, now: Instant) -> bool {
        if !self.up.ended || !self.up.held {
            return false;
        }
        let quiet = now.saturating_duration_since(self.answered.max(self.heard));
        let patience = if self.exchange.has_begun_to_answer() { HALF_CLOSED_QUIET_TIME } else { HALF_CLOSED_TIME };
        !self.exchange.awaits() || self.client.is_broken() || quiet >= patience
    }

    /// Returns whether the tunnel is between two requests for so long that others who wait may have its place.
    pub(crate) fn is_idle_in_a_crowd(&self, now: Instant) -> bool {
        let quiet = now.saturating_duration_since(self.answered.max(self.heard));
        self.exchange.is_idle() && self.down.left.is_empty() && quiet >= CROWDED_IDLE_TIME
    }

    /// Returns whether the server behind is gone and the client is quiet or has gone on for too long.
    pub(crate) fn is_past_linger(&self, now: Instant) -> bool {
        let quiet = now.saturating_duration_since(self.heard) >= QUIET_TIME;
        self.linger.is_some_and(|until| now >= until || quiet)
    }

    /// Returns whether the server behind is gone and the client does not read the rest of its answer.
    pub(crate) fn is_out_of_patience(&self, now: Instant) -> bool {
        !self.down.passed && self.patience.is_some_and(|until| now >= until)
    }
}
