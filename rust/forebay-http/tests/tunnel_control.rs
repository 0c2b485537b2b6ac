//! The server behind learns of a tunnel and asks things of it.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use common::{PATIENCE, World, is_closed};
use forebay_http::TunnelControl;

const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
const PING: &[u8] = b"\x89\x00";
const CLOSE: &[u8] = b"\x88\x02\x03\xe9";

/// A client, the server's end of its tunnel, and what the server may do with that.
struct Tunnelled {
    world: World,
    client: TcpStream,
    server: TcpStream,
    control: Arc<TunnelControl>,
}

impl Tunnelled {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = World::before(listener.local_addr().unwrap());
        let mut client = world.connect();
        client.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let (mut server, address) = listener.accept().unwrap();
        server.set_nodelay(true).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let _request = server.read(&mut [0; 1024]).unwrap();
        let control = world.front().tunnels().get(address).unwrap();
        Self { world, client, server, control }
    }

    /// Sends to the client, and waits until its connection has taken all of it.
    fn say(&mut self, bytes: &[u8]) {
        let taken = self.control.taken() + bytes.len() as u64;
        self.server.write_all(bytes).unwrap();
        self.world.wait_for("the client's part", || self.control.taken() == taken);
    }

    fn hears(&mut self, expected: &[u8]) {
        let mut heard = vec![0; expected.len()];
        self.client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, expected);
    }
}

#[test]
fn an_insertion_stands_between_two_frames() {
    let mut there = Tunnelled::new();
    there.say(UPGRADED);
    there.say(b"\x81\x05he");
    there.control.insert(PING.to_vec());
    there.server.write_all(b"llo").unwrap();
    there.hears(&[UPGRADED, b"\x81\x05hello", PING].concat());
    there.control.insert(PING.to_vec());
    there.hears(PING);
    let received = there.control.received();
    there.client.write_all(b"\x8a\x80mask").unwrap();
    there.world.wait_for("the pong", || there.control.received() == received + 6);
}

#[test]
fn nothing_follows_the_last_insertion() {
    let mut there = Tunnelled::new();
    there.say(UPGRADED);
    there.server.write_all(b"\x81\x01a").unwrap();
    there.control.insert_last(CLOSE.to_vec());
    there.hears(&[UPGRADED, b"\x81\x01a", CLOSE].concat());
    there.server.write_all(b"\x81\x01b").unwrap();
    there.control.hang_up();
    let mut rest = Vec::new();
    there.server.read_to_end(&mut rest).unwrap();
    drop(there.server);
    there.client.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn the_last_insertion_takes_the_place_of_a_close_frame() {
    let mut there = Tunnelled::new();
    there.say(UPGRADED);
    there.control.insert_last(CLOSE.to_vec());
    there.server.write_all(b"\x81\x01a\x88\x00").unwrap();
    let mut heard = vec![0; UPGRADED.len()];
    there.client.read_exact(&mut heard).unwrap();
    drop(there.server);
    heard.clear();
    there.client.read_to_end(&mut heard).unwrap();
    assert!(heard == CLOSE || heard == [b"\x81\x01a", CLOSE].concat(), "{heard:?}");
}

#[test]
fn an_answer_takes_the_place_of_what_the_server_says_later() {
    let mut there = Tunnelled::new();
    let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n{}";
    there.control.answer(refusal.to_vec());
    there.server.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    there.client.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, refusal);
    let Tunnelled { world, client, control, .. } = there;
    drop(client);
    world.wait_for("its end", || control.has_ended());
}

#[test]
fn a_client_that_does_not_read_is_known_and_can_be_cut_off() {
    let Tunnelled { world, mut client, mut server, control } = Tunnelled::new();
    let writer = std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut sent = 0;
        while server.write_all(&piece).is_ok() {
            sent += piece.len() as u64;
        }
        sent
    });
    world.wait_for("what its buffers hold", || control.taken() > 0);
    control.reset();
    world.wait_for("its end", || control.has_ended());
    let sent = writer.join().unwrap();
    assert!(control.taken() <= sent + (1 << 20) + 19);
    let ended = client.read_to_end(&mut Vec::new());
    assert!(ended.is_ok_and(|count| count as u64 <= sent + 19) || is_closed(&mut client));
    world.wait_for("no tunnel", || world.front().stats().tunnels == 0);
}

#[test]
fn a_client_that_is_gone_counts_until_the_server_behind_has_noticed() {
    let there = Tunnelled::new();
    let Tunnelled { world, client, mut server, control } = there;
    server.write_all(UPGRADED).unwrap();
    world.wait_for("the client's part", || control.taken() == UPGRADED.len() as u64);
    // What a client leaves unread resets its connection.
    drop(client);
    world.wait_for("its end", || control.has_ended());
    assert_eq!(world.front().stats().tunnels, 1);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).unwrap();
    assert_eq!(world.front().stats().tunnels, 1);
    server.write_all(b"\x81\x01a").unwrap();
    drop(server);
    world.wait_for("the place to be free", || world.front().stats().tunnels == 0);
}
