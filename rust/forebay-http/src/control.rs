use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::completion_queue::CompletionQueue;

/// The fate of what the server behind sends after an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is passed on.
    GoOn,
    /// It is read and dropped.
    Drop,
    /// The insertion takes its place, and ends what is sent to the client.
    End,
}

/// A request of the server behind to a tunnel.
#[derive(Debug)]
pub(crate) enum Order {
    /// Sends these bytes to the client, between two messages.
    Insert(Vec<u8>, Then),
    /// Drops what the client still sends, and tells the server behind that it sends no more.
    HangUp,
    /// Breaks both sides off.
    Reset,
}

/// One tunnel for the server behind: how far its client is, and what to do with it. Any thread may use it, also after
/// the tunnel has ended.
#[derive(Debug)]
pub struct TunnelControl {
    slot: u32,
    queue: Arc<CompletionQueue>,
    taken: AtomicU64,
    received: AtomicU64,
    ended: AtomicBool,
    ordered: AtomicBool,
    orders: Mutex<Vec<Order>>,
}

impl TunnelControl {
    /// Bytes that the client's connection has taken. What the server behind has written and is not among them waits in
    /// buffers of a bounded size.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Bytes that came from the client since its connection became a tunnel.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// True when the client's connection is closed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Sends `bytes` to the client between two messages of the server behind.
    pub fn insert(&self, bytes: Vec<u8>) {
        self.order(Order::Insert(bytes, Then::GoOn));
    }

    /// Sends `bytes` to the client behind all messages that were written before. Later ones are dropped, and so is a
    /// close frame of the server behind, in whose place they stand.
    pub fn insert_last(&self, bytes: Vec<u8>) {
        self.order(Order::Insert(bytes, Then::Drop));
    }

    /// Sends `bytes` to the client in place of the answer, which must not have begun, and ends the connection.
    pub fn answer(&self, bytes: Vec<u8>) {
        self.order(Order::Insert(bytes, Then::End));
    }

    /// Drops what the client still sends, and lets the server behind find its end.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    /// Breaks the connection off; what the client has not taken is dropped.
    pub fn reset(&self) {
        self.order(Order::Reset);
    }

    fn order(&self, order: Order) {
        if self.has_ended() {
            return;
        }
        self.orders.lock().push(order);
        self.ordered.store(true, Relaxed);
        self.queue.give_turn(self.slot);
    }

    /// Takes the requests that have come since the last time.
    pub(crate) fn orders(&self) -> Vec<Order> {
        // Relaxed: whoever waits for one to be seen has passed through a lock or a system call since.
        if self.ordered.swap(false, Relaxed) { std::mem::take(&mut self.orders.lock()) } else { Vec::new() }
    }

    pub(crate) fn note(&self, taken: u64, received: u64) {
        self.taken.store(taken, Relaxed);
        self.received.store(received, Relaxed);
    }
}

/// The tunnels by the addresses that the server behind sees as its clients'.
#[derive(Debug, Default)]
pub struct Tunnels(Mutex<HashMap<SocketAddr, Arc<TunnelControl>>>);

impl Tunnels {
    /// The tunnel whose connection to the server behind has that address.
    #[must_use]
    pub fn get(&self, address: SocketAddr) -> Option<Arc<TunnelControl>> {
        self.0.lock().get(&address).cloned()
    }

    pub(crate) fn register(
        self: &Arc<Self>,
        address: SocketAddr,
        slot: u32,
        queue: &Arc<CompletionQueue>,
    ) -> Registration {
        let control = Arc::new(TunnelControl {
            slot,
            queue: Arc::clone(queue),
            taken: AtomicU64::new(0),
            received: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            ordered: AtomicBool::new(false),
            orders: Mutex::default(),
        });
        self.0.lock().insert(address, Arc::clone(&control));
        Registration { tunnels: Arc::clone(self), address, control }
    }
}

/// A tunnel's place among those that can be found, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Registration {
    tunnels: Arc<Tunnels>,
    address: SocketAddr,
    pub(crate) control: Arc<TunnelControl>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.control.ended.store(true, Relaxed);
        let mut tunnels = self.tunnels.0.lock();
        if tunnels.get(&self.address).is_some_and(|known| Arc::ptr_eq(known, &self.control)) {
            tunnels.remove(&self.address);
        }
    }
}
