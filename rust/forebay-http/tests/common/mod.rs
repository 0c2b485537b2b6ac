//! A front with its engine and a server behind it.

// Each of the test crates uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::storage::Disk;
use forebay_core::{Engine, Options};
use forebay_http::{Front, Limits, MemoryBudget, Principals};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(1);
/// The memory budget of bodies, in bytes.
pub const MEMORY_BUDGET: u64 = 2 << 20;
/// The most connections at once.
pub const CONNECTIONS: usize = 8;

/// A front, its engine, and a server behind it that sends back what it receives.
pub struct World {
    front: Front,
    engine: Arc<Engine>,
    memory_budget: Arc<MemoryBudget>,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::before(echo())
    }

    /// With another server behind the front.
    pub fn before(backend: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path()).unwrap();
        let options = Options { ring_bytes: 64 << 20, ..Options::default() };
        let engine = Arc::new(Engine::open(Arc::new(disk), options).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let principals = Arc::new(Principals::default());
        principals.let_everybody_in();
        let memory_budget = Arc::new(MemoryBudget::new(MEMORY_BUDGET));
        let limits = Limits {
            body_bytes: 16 << 20,
            body_time: BODY_TIME,
            ack_time: PATIENCE,
            connections: CONNECTIONS,
            memory_budget: Arc::clone(&memory_budget),
        };
        let front = Front::start(listener, backend, Arc::clone(&engine), principals, limits).unwrap();
        Self { front, engine, memory_budget, address, _directory: directory }
    }

    /// `count` small requests that are refused at once.
    pub fn bad_requests(count: usize) -> Vec<u8> {
        b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{".repeat(count)
    }

    pub fn front(&self) -> &Front {
        &self.front
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The number of stored events.
    pub fn stored(&self) -> u64 {
        let reports = self.engine.stream_reports();
        let logs = reports.iter().filter(|report| report.name == "logs");
        logs.flat_map(|report| &report.partitions).map(|(_, start, end)| end.0 - start.0).sum()
    }

    /// Bytes reserved for bodies.
    pub fn reading(&self) -> u64 {
        self.memory_budget.used()
    }

    /// Polls until `condition` holds.
    pub fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < deadline, "{what}: not in time");
            std::thread::yield_now();
        }
    }
}

/// Starts a server that sends back what it receives and ends with its client.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
                let _ended = std::io::copy(&mut reader, &mut writer);
            });
        }
    });
    address
}

/// A whole drain request of `events` events.
pub fn drain(events: usize) -> Vec<u8> {
    drain_with(events, "m", "")
}

/// A whole drain request with a message and further header lines.
pub fn drain_with(events: usize, message: &str, headers: &str) -> Vec<u8> {
    let event = format!(
        r#"{{"project_id":"p","timestamp":"2026-01-01T00:00:00Z","level":"info","service":"s","message":"{message}"}}"#
    );
    let body = format!(r#"{{"events":[{}]}}"#, vec![event; events].join(","));
    let mut request = Vec::new();
    write!(request, "POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
        .unwrap();
    request
}

/// Reads one answer and returns its status and body.
pub fn answer(client: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    client.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

/// Returns whether the front closes the connection without another byte.
pub fn is_closed(client: &mut TcpStream) -> bool {
    match client.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
