use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::poller::Ready;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

/// One end of a connection, with its readiness.
///
/// Readiness is edge-triggered: it holds from epoll's report until a call would block.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    readable: bool,
    writable: bool,
    ended: bool,
    broken: bool,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// This many bytes, at least one.
    Some(usize),
    /// The other side sends no more.
    End,
    /// Nothing yet.
    Nothing,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // A new connection is not readable before epoll reports it, and writable until a write would block.
        Self { stream, readable: false, writable: true, ended: false, broken: false }
    }

    /// Begins to connect to `address`. Until the connection stands, the socket is not writable.
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

    /// Adds an event of epoll to the readiness.
    pub(crate) fn note(&mut self, event: Ready) {
        self.readable |= event.readable;
        self.writable |= event.writable;
        self.ended |= event.ended;
        self.broken |= event.broken;
    }

    /// Lets the next read ask the system even though epoll reported nothing.
    pub(crate) fn look_again(&mut self) {
        self.readable = true;
    }

    /// Returns whether the other side has ended. Bytes that it sent before may still be unread.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns whether the connection broke.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Returns whether a read may bring something.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Returns whether a write may take something.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Reads into a slice.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Read> {
        let wanted = into.len();
        let result = retry_on_intr(|| recv(&self.stream, &mut *into, RecvFlags::empty()).map(|(count, _)| count));
        self.note_read(result, wanted)
    }

    /// Reads into the spare capacity of a vector.
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
                // A read of less than was wanted has emptied the socket, and epoll reports when there is more
                // (epoll(7)). The end is not reported again, though, when epoll reported it before this read.
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

    /// Writes as much as goes now and returns its length.
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

    /// Ends this side's writing. A connection that is gone needs no notice.
    pub(crate) fn end_writing(&self) {
        let _gone = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset: unsent bytes are dropped, and the other side notices.
    pub(crate) fn reset(self) {
        // This fails only for a descriptor that is no socket.
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
