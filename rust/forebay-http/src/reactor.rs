use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::{Completer, CompletionId, Error, ErrorKind, Request};

use crate::completion_queue::{ClientEvent, CompletionQueue};
use crate::connection::{Connection, ConnectionAction, Shared};
use crate::deadlines::Deadlines;
use crate::leaving::Leaving;
use crate::poller::{Events, Poller, Ready, Source};
use crate::slab::Slab;
use crate::socket::Socket;
use crate::stats::Counted;
use crate::tunnel::{Tunnel, TunnelAction};

/// The most connections accepted before the existing ones get their turn.
const ACCEPTS: usize = 64;
/// The most requests of one connection that are refused at once before another connection gets its turn.
const REQUESTS: usize = 16;
/// The most bytes that a tunnel reads at once. All tunnels share one buffer; each keeps its own unwritten rest.
const SCRATCH_BYTES: usize = 128 * 1024;
/// The receive buffer of a tunnel's backend socket. For a client that does not read, the kernel holds this much of the
/// answer on top of the bytes that the server behind counts.
const TUNNEL_RECEIVE_BYTES: usize = 256 * 1024;
/// How long accepting pauses when the process has no descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A connection of either kind.
#[derive(Debug)]
enum ClientState {
    Direct(Box<Connection>),
    Tunnel(Box<Tunnel>),
    Leaving(Leaving),
}

/// The front's event loop; everything happens on its one thread.
#[derive(Debug)]
pub(crate) struct Reactor {
    poller: Poller,
    /// `None` once the front is stopping.
    listener: Option<TcpListener>,
    /// Set while accepting is paused: until a time, or (`None`) until a connection closes because the limit is reached.
    rest: Option<Option<Instant>>,
    backend: SocketAddr,
    completion_queue: Arc<CompletionQueue>,
    clients: Slab<ClientState>,
    shared: Shared,
    deadlines: Deadlines,
    /// Clients that had their turn and could go on.
    again: Vec<u32>,
    scratch: Vec<u8>,
}

impl Reactor {
    /// A reactor that is ready to run. `listener` must be non-blocking.
    pub(crate) fn new(
        listener: TcpListener,
        backend: SocketAddr,
        completion_queue: Arc<CompletionQueue>,
        shared: Shared,
    ) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        poller.add_level(&listener, Source::Listener)?;
        poller.add_level(completion_queue.descriptor(), Source::CompletionQueue)?;
        Ok(Self {
            poller,
            listener: Some(listener),
            rest: None,
            backend,
            completion_queue,
            clients: Slab::new(),
            shared,
            deadlines: Deadlines::new(Instant::now()),
            again: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
        })
    }

    /// Serves until it is asked to stop and every request in flight is answered. False when the time for that ran out
    /// first.
    pub(crate) fn run(mut self) -> std::io::Result<bool> {
        let (mut events, mut ready, mut completions) = (Events::new(), Vec::new(), Vec::new());
        loop {
            let now = Instant::now();
            let limit = if self.again.is_empty() { self.sleep(now) } else { Some(Duration::ZERO) };
            self.poller.wait(limit, &mut events, &mut ready)?;
            let now = Instant::now();
            for event in ready.drain(..) {
                self.dispatch(event, &mut completions, now);
            }
            let mut again = std::mem::take(&mut self.again);
            // A tunnel may be there twice, once for each of its sides.
            again.sort_unstable();
            again.dedup();
            for slot in again {
                self.turn(slot, now);
            }
            self.keep_deadlines(now);
            if let Some(deadline) = self.completion_queue.stop_by() {
                self.begin_stop(now);
                if self.clients.len() == 0 || now >= deadline {
                    return Ok(self.clients.len() == 0);
                }
            }
        }
    }

    fn sleep(&self, now: Instant) -> Option<Duration> {
        let sleep = self.deadlines.sleep(now, self.clients.len() == 0);
        let rest = self.rest.flatten().map(|until| until.saturating_duration_since(now));
        let stop = self.completion_queue.stop_by().map(|deadline| deadline.saturating_duration_since(now));
        [sleep, rest, stop].into_iter().flatten().min()
    }

    fn dispatch(&mut self, event: Ready, completions: &mut Vec<(CompletionId, ClientEvent)>, now: Instant) {
        match event.source {
            Source::Listener => self.accept(now),
            Source::CompletionQueue => {
                self.completion_queue.take(completions);
                for (id, event) in completions.drain(..) {
                    self.settle(id, event, now);
                }
                for slot in self.completion_queue.take_turns() {
                    self.turn(slot, now);
                }
            }
            Source::Client(slot) => {
                match self.clients.get(slot) {
                    Some(ClientState::Direct(connection)) => connection.socket.note(event),
                    Some(ClientState::Tunnel(tunnel)) => tunnel.client.note(event),
                    Some(ClientState::Leaving(_)) | None => return,
                }
                self.turn(slot, now);
            }
            Source::Backend(slot) => {
                match self.clients.get(slot) {
                    Some(ClientState::Tunnel(tunnel)) => tunnel.backend.note(event),
                    Some(ClientState::Leaving(leaving)) => leaving.backend.note(event),
                    Some(ClientState::Direct(_)) | None => return,
                }
                self.turn(slot, now);
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else { return };
            if self.clients.len() >= self.shared.limits.connections {
                self.pause(None);
                return;
            }
            match listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = self.admit(stream, now) {
                        drop(error); // The connection broke before it was served.
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // The connection is gone already.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_no_descriptor_or_memory) => {
                    self.pause(Some(now + ACCEPT_REST));
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: std::net::TcpStream, now: Instant) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        let slot = self.clients.next();
        self.poller.add(&stream, Source::Client(slot))?;
        let connection = Connection::new(Socket::new(stream), slot, &self.shared, now);
        self.clients.insert(ClientState::Direct(connection.into()));
        Ok(())
    }

    /// Lets further connections wait in the backlog.
    fn pause(&mut self, until: Option<Instant>) {
        if let Some(listener) = self.listener.as_ref().filter(|_| self.rest.is_none()) {
            // This fails only for a listener that is not registered.
            let _infallible = self.poller.remove(listener);
            self.rest = Some(until);
        }
    }

    fn accept_again(&mut self) {
        if let Some(listener) = self.listener.as_ref().filter(|_| self.rest.is_some()) {
            // This fails only when the kernel has no memory; the next connection that closes tries again.
            if self.poller.add_level(listener, Source::Listener).is_ok() {
                self.rest = None;
            }
        }
    }

    fn turn(&mut self, slot: u32, now: Instant) {
        for _ in 0..REQUESTS {
            let Some(client) = self.clients.get(slot) else { return };
            let connection = match client {
                ClientState::Direct(connection) => connection,
                ClientState::Tunnel(tunnel) => {
                    match tunnel.turn(&mut self.scratch, now) {
                        TunnelAction::Wait => {}
                        TunnelAction::Again => self.again.push(slot),
                        TunnelAction::Close => self.close(slot),
                        TunnelAction::Leave => self.leave(slot, now),
                        TunnelAction::Reset => self.reset(slot),
                    }
                    return;
                }
                ClientState::Leaving(leaving) => {
                    match leaving.turn(&mut self.scratch) {
                        Some(false) => {}
                        Some(true) => self.again.push(slot),
                        None => self.close(slot),
                    }
                    return;
                }
            };
            match connection.turn(&mut self.shared, now) {
                ConnectionAction::Wait => return,
                ConnectionAction::Close => return self.close(slot),
                ConnectionAction::Tunnel => return self.tunnel(slot, now),
                ConnectionAction::Again => break,
                ConnectionAction::Submit(request) => self.submit(slot, request, now),
            }
        }
        self.again.push(slot);
    }

    fn submit(&mut self, slot: u32, request: Request, now: Instant) {
        let Some(ClientState::Direct(connection)) = self.clients.get(slot) else { return };
        let completer = Arc::clone(&self.completion_queue) as Arc<dyn Completer>;
        if let Err(error) = self.shared.engine.submit(request, completer, connection.completion_id()) {
            connection.settle(Err(error), &mut self.shared, now);
        }
    }

    fn settle(&mut self, id: CompletionId, event: ClientEvent, now: Instant) {
        let slot = Connection::slot_of(id);
        let Some(ClientState::Direct(connection)) = self.clients.get(slot) else { return };
        if !connection.awaits(id) {
            return;
        }
        match event {
            ClientEvent::Due(due) => self.deadlines.add(due, id),
            ClientEvent::Settled(outcome) => {
                connection.settle(outcome, &mut self.shared, now);
                self.turn(slot, now);
            }
        }
    }

    /// Turns a connection into a tunnel to the server behind, which first gets the bytes that were read.
    fn tunnel(&mut self, slot: u32, now: Instant) {
        let backend = Socket::connect(self.backend, TUNNEL_RECEIVE_BYTES);
        let added = backend.and_then(|backend| {
            self.poller.add(backend.descriptor(), Source::Backend(slot))?;
            let address = backend.local_address()?;
            Ok((backend, self.shared.tunnels.register(address, slot, &self.completion_queue)))
        });
        let (backend, registration) = match added {
            Ok(added) => added,
            Err(error) => return self.refuse_tunnel(slot, &error, now),
        };
        let Some(ClientState::Direct(connection)) = self.clients.remove(slot) else { return };
        let (client, first) = connection.into_parts();
        let counted = Counted::new(&self.shared.stats, |stats| &stats.tunnels);
        // The slab gives out the slot that was just freed.
        self.clients
            .insert(ClientState::Tunnel(Tunnel::new(client, backend, first, registration, counted, now).into()));
        self.turn(slot, now);
    }

    /// Answers for the server behind when it cannot be reached: no descriptor or memory is left, or it has stopped.
    fn refuse_tunnel(&mut self, slot: u32, why: &std::io::Error, now: Instant) {
        let Some(ClientState::Direct(connection)) = self.clients.get(slot) else { return };
        let error = match self.shared.stopping {
            true => Error::new(ErrorKind::Closed, "the server is shutting down"),
            false => Error::new(ErrorKind::Saturated, format!("the connection cannot be passed on: {why}")),
        };
        connection.refuse_tunnel(&mut self.shared, &error, now);
        self.turn(slot, now);
    }

    fn close(&mut self, slot: u32) {
        if self.clients.remove(slot).is_some() && self.rest == Some(None) {
            self.accept_again();
        }
    }

    /// Keeps the place of a client that is gone until the server behind has noticed.
    fn leave(&mut self, slot: u32, now: Instant) {
        let Some(ClientState::Tunnel(tunnel)) = self.clients.remove(slot) else { return };
        // The slab gives out the slot that was just freed.
        self.clients.insert(ClientState::Leaving(tunnel.leave(now)));
        self.turn(slot, now);
    }

    fn reset(&mut self, slot: u32) {
        if let Some(ClientState::Tunnel(tunnel)) = self.clients.remove(slot) {
            tunnel.client.reset();
            tunnel.backend.reset();
        }
        if self.rest == Some(None) {
            self.accept_again();
        }
    }

    fn keep_deadlines(&mut self, now: Instant) {
        while let Some(id) = self.deadlines.expired(now) {
            let slot = Connection::slot_of(id);
            if let Some(ClientState::Direct(connection)) = self.clients.get(slot)
                && connection.awaits(id)
            {
                connection.give_up(&mut self.shared, now);
                self.turn(slot, now);
            }
        }
        if matches!(self.rest, Some(Some(until)) if now >= until) {
            self.accept_again();
        }
        if self.deadlines.sweep(now) {
            // While accepting is paused, others wait for a connection to end or for a descriptor.
            let crowded = self.rest.is_some();
            for slot in self.clients.numbers() {
                self.look_at(slot, crowded, now);
            }
        }
    }

    fn look_at(&mut self, slot: u32, crowded: bool, now: Instant) {
        match self.clients.get(slot) {
            Some(ClientState::Direct(connection)) if crowded && connection.is_idle_in_a_crowd(now) => self.close(slot),
            Some(ClientState::Direct(connection)) if connection.deadline.is_some_and(|deadline| now >= deadline) => {
                if connection.expire(&mut self.shared, now) {
                    self.turn(slot, now)
                } else {
                    self.close(slot)
                }
            }
            Some(ClientState::Leaving(leaving)) if leaving.is_over(now) => self.close(slot),
            Some(ClientState::Tunnel(tunnel)) if tunnel.is_past_linger(now) => self.close(slot),
            Some(ClientState::Tunnel(tunnel)) if crowded && tunnel.is_idle_in_a_crowd(now) => self.close(slot),
            Some(ClientState::Tunnel(tunnel)) if tunnel.may_end(now) => self.turn(slot, now),
            Some(ClientState::Tunnel(tunnel)) if tunnel.is_out_of_patience(now) => self.reset(slot),
            _ => {}
        }
    }

    /// Stops accepting and closes idle connections. The server behind ends the tunnels.
    fn begin_stop(&mut self, now: Instant) {
        if std::mem::replace(&mut self.shared.stopping, true) {
            return;
        }
        self.listener = None;
        self.rest = None;
        for slot in self.clients.numbers() {
            if let Some(ClientState::Direct(connection)) = self.clients.get(slot)
                && connection.is_idle()
            {
                // A request that has arrived without an event yet is still answered.
                connection.socket.look_again();
                self.turn(slot, now);
            }
        }
    }
}
