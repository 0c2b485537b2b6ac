use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::poller::Ready;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

/// One end of a connection, with what epoll said of it last.
///
/// Readiness is edge-triggered: it is true from when epoll says so until a call would block.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    readable: bool,
    writable: bool,
    ended: bool,
    broken: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes, at least one.
    Some(usize),
    /// The other side sends no more.
    End,
    /// Nothing yet.
    Nothing,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Not readable before epoll has said so; writable until proven otherwise.
        Self { stream, readable: false, writable: true, ended: false, broken: false }
    }

    /// A connection to `address` that is being made; writes fail as if they would block until it is.
    pub(crate) fn connect(address: std::net::SocketAddr, receive_bytes: usize) -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_recv_buffer_size(&socket, receive_bytes)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { stream: socket.into(), readable: false, writable: false, ended: false, broken: false })
    }

    /// Takes note of what epoll says.
    pub(crate) fn note(&mut self, event: Ready) {
        self.readable |= event.readable;
        self.writable |= event.writable;
        self.ended |= event.ended;
        self.broken |= event.broken;
    }

    /// Lets the next read ask the system.
    pub(crate) fn look_again(&mut self) {
        self.readable = true;
    }

    /// Whether the other side was heard to end, though what it sent before may still be unread.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it ended by breaking the connection off.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether a read may bring something.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether a write may take something.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Reads into memory that is there.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Read> {
        let wanted = into.len();
        let result = retry_on_intr(|| recv(&self.stream, &mut *into, RecvFlags::empty()).map(|(count, _)| count));
        self.note_read(result, wanted)
    }

    /// Reads into the memory that a vector has left.
    pub(crate) fn read_more(&mut self, into: &mut Vec<u8>) -> io::Result<Read> {
        let wanted = into.capacity() - into.len();
        let result =
            retry_on_intr(|| recv(&self.stream, spare_capacity(into), RecvFlags::empty()).map(|(_, count)| count));
        self.note_read(result, wanted)
    }

    fn note_read(&mut self, result: rustix::io::Result<usize>, wanted: usize) -> io::Result<Read> {
        match result {
            Ok(0) => Ok(Read::End),
            Ok(count) => {
                // Fewer than wanted: there is no more, and epoll will say when there is (epoll(7)); but the end was told
                // already, when it came before what was read now.
                self.readable = count == wanted || self.ended;
                Ok(Read::Some(count))
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(Read::Nothing)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as much as goes now, and says how much that was.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match retry_on_intr(|| send(&self.stream, bytes, SendFlags::NOSIGNAL)) {
            Ok(count) => {
                self.writable = count == bytes.len();
                Ok(count)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Says that nothing more will be written. A connection that is gone has been told.
    pub(crate) fn end_writing(&self) {
        let _gone = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset: what is under way is dropped, and the other side is told that it is.
    pub(crate) fn reset(self) {
        // Fails only for what is no socket.
        let _infallible = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// The address of this end.
    pub(crate) fn local_address(&self) -> io::Result<std::net::SocketAddr> {
        self.stream.local_addr()
    }

    pub(crate) fn descriptor(&self) -> impl AsFd + '_ {
        &self.stream
    }
}
