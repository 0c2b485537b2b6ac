use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use forebay_core::load::Due;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::LoadError;
use crate::answer::{Answer, AnswerReader};
use crate::poller::Poller;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    Connecting,
    Idle,
    /// `written` bytes of the request are written so far.
    Sending {
        request: usize,
        written: usize,
    },
    Awaiting,
    /// It is closed, and opened again at the next tick.
    Down,
}

/// The connection cannot be used further.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) io::Error);

/// One keep-alive connection with at most one request in flight.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    token: usize,
    reader: AnswerReader,
    pub(crate) state: ConnectionState,
    /// The request in flight.
    pub(crate) due: Due,
    /// When the request in flight was sent, or since when the connection is idle.
    pub(crate) since: Instant,
}

impl Connection {
    /// Begins to connect. The poller reports the socket writable when it is done.
    pub(crate) fn open(address: SocketAddr, token: usize, poller: &Poller) -> Result<Connection, LoadError> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None).map_err(LoadError::system("socket"))?;
        let state = match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => ConnectionState::Connecting,
            Err(_) => ConnectionState::Down,
        };
        let stream = TcpStream::from(socket);
        if state == ConnectionState::Connecting {
            poller.add(&stream, token, true)?;
        }
        let now = Instant::now();
        Ok(Connection {
            stream,
            token,
            reader: AnswerReader::new(),
            state,
            due: Due { at: now, events: 0 },
            since: now,
        })
    }

    /// Takes the result of the connect, which the poller has reported.
    pub(crate) fn connected(&mut self, poller: &Poller) -> Result<(), Broken> {
        if let Some(error) = self.stream.take_error().map_err(Broken)? {
            return Err(Broken(error));
        }
        self.stream.set_nodelay(true).map_err(Broken)?;
        self.watch(poller, false)?;
        self.rest(Instant::now());
        Ok(())
    }

    pub(crate) fn rest(&mut self, now: Instant) {
        self.state = ConnectionState::Idle;
        self.since = now;
    }

    /// Removes a broken socket from the poller, which would report it again and again. It is closed when the connection
    /// is opened anew.
    pub(crate) fn shut(&mut self, poller: &Poller) -> Result<(), LoadError> {
        self.state = ConnectionState::Down;
        poller.remove(&self.stream)
    }

    pub(crate) fn busy(&self) -> bool {
        matches!(self.state, ConnectionState::Sending { .. } | ConnectionState::Awaiting)
    }

    pub(crate) fn send(
        &mut self,
        request: usize,
        bytes: &[u8],
        due: Due,
        now: Instant,
        poller: &Poller,
    ) -> Result<(), Broken> {
        self.due = due;
        self.since = now;
        let written = self.write_some(bytes)?;
        if written == bytes.len() {
            self.state = ConnectionState::Awaiting;
            return Ok(());
        }
        self.state = ConnectionState::Sending { request, written };
        self.watch(poller, true)
    }

    /// Goes on with a request that did not fit the socket's buffer.
    pub(crate) fn send_rest(&mut self, bytes: &[u8], poller: &Poller) -> Result<(), Broken> {
        let ConnectionState::Sending { request, written } = self.state else { return Ok(()) };
        let written = written + self.write_some(bytes.get(written..).unwrap_or_default())?;
        if written < bytes.len() {
            self.state = ConnectionState::Sending { request, written };
            return Ok(());
        }
        self.state = ConnectionState::Awaiting;
        self.watch(poller, false)
    }

    /// Reads once. The poller is level-triggered and reports the rest again.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Answer>, Broken> {
        let count = match self.stream.read(buffer) {
            Ok(0) => {
                let end = || Broken(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
                return self.reader.finish().map(Some).ok_or_else(end);
            }
            Ok(count) => count,
            Err(error) if retry(&error) => return Ok(None),
            Err(error) => return Err(Broken(error)),
        };
        let malformed = |_| Broken(io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1.1"));
        if !self.busy() {
            return Err(malformed(()));
        }
        let answer = self.reader.feed(buffer.get(..count).unwrap_or_default()).map_err(|_| malformed(()))?;
        // After an answer before the end of the request (a refusal), the server could not tell the rest of the request
        // from the next one.
        let early = matches!(self.state, ConnectionState::Sending { .. });
        Ok(answer.map(|answer| Answer { closes: answer.closes || early, ..answer }))
    }

    /// Writes until the socket's buffer is full. One superfluous call is cheaper than a wait for a buffer that the
    /// receiver has just emptied.
    fn write_some(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => written += count,
                Err(error) if retry(&error) => break,
                Err(error) => return Err(Broken(error)),
            }
        }
        Ok(written)
    }

    fn watch(&self, poller: &Poller, writable: bool) -> Result<(), Broken> {
        poller.modify(&self.stream, self.token, writable).map_err(|error| Broken(io::Error::other(error)))
    }
}

fn retry(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted
}
