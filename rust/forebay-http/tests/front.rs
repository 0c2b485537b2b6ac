//! The front over real sockets, with a real engine; the server behind is one that says what it was sent.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use common::{World, answer, drain, drain_with, is_closed};

#[test]
fn a_request_that_comes_in_any_two_pieces_is_answered_once() {
    let world = World::new();
    let request = drain(3);
    let mut client = world.connect();
    for cut in 1..request.len() {
        client.write_all(&request[..cut]).unwrap();
        std::thread::yield_now();
        client.write_all(&request[cut..]).unwrap();
        let (status, _) = answer(&mut client);
        assert_eq!(status, 202, "cut at {cut}");
    }
    assert_eq!(world.stored(), 3 * (request.len() as u64 - 1));
}

#[test]
fn requests_that_follow_at_once_are_answered_in_order() {
    let world = World::new();
    let mut client = world.connect();
    let mut all = Vec::new();
    for events in 0..20 {
        all.extend(drain(events));
    }
    client.write_all(&all).unwrap();
    // The first has no events and is refused, the others are stored: none is lost and none is answered for another.
    for events in 0..20 {
        assert_eq!(answer(&mut client).0, if events == 0 { 400 } else { 202 }, "{events} events");
    }
    assert_eq!(world.stored(), (1..20).sum::<u64>());
}

#[test]
fn what_is_unusual_reaches_the_server_behind_byte_by_byte_with_all_that_follows() {
    let world = World::new();
    let mut client = world.connect();
    client.write_all(&drain(1)).unwrap();
    assert_eq!(answer(&mut client).0, 202);
    let rest = [&b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"[..], &drain(1), b"garbage \x00\xff"].concat();
    for piece in rest.chunks(7) {
        client.write_all(piece).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    let mut echoed = Vec::new();
    client.read_to_end(&mut echoed).unwrap();
    assert_eq!(echoed, rest, "the server behind sends back what it gets, and its end comes after that");
    assert_eq!(world.stored(), 1);
}

#[test]
fn a_large_answer_of_the_server_behind_comes_whole_to_a_slow_reader() {
    let world = World::new();
    let mut client = world.connect();
    let sent: Vec<u8> = (0..8_000_000_u32).map(|index| (index % 251) as u8).collect();
    let expected = sent.clone();
    let mut writer = client.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(b"X").unwrap();
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let (mut got, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = client.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        got.extend_from_slice(&piece[..count]);
    }
    writing.join().unwrap();
    assert!(got[0] == b'X' && got[1..] == expected, "{} bytes", got.len());
}

#[test]
fn a_body_larger_than_any_read_is_taken() {
    let world = World::new();
    let mut client = world.connect();
    let padding = "x".repeat(700_000);
    client.write_all(&drain_with(1, &padding, "")).unwrap();
    assert_eq!(answer(&mut client).0, 202);
    client.write_all(&drain(1)).unwrap();
    assert_eq!(answer(&mut client).0, 202);
    assert_eq!((world.stored(), world.reading()), (2, 0));
}

#[test]
fn a_sender_that_is_half_closed_is_answered() {
    let world = World::new();
    let mut client = world.connect();
    client.write_all(&drain(2)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(&mut client).0, 202);
    assert!(is_closed(&mut client));
    let mut client = world.connect();
    let request = drain(2);
    client.write_all(&request[..request.len() - 1]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (status, body) = answer(&mut client);
    assert!(status == 400 && body.contains("broke off"), "{status} {body}");
    assert!(is_closed(&mut client));
    assert_eq!((world.stored(), world.reading()), (2, 0));
}

#[test]
fn a_body_that_does_not_come_is_refused_in_time() {
    let world = World::new();
    let mut client = world.connect();
    let request = drain(2);
    client.write_all(&request[..request.len() - 1]).unwrap();
    assert_eq!(answer(&mut client).0, 408);
    assert!(is_closed(&mut client));
    assert_eq!((world.stored(), world.reading()), (0, 0));
}

#[test]
fn bodies_beyond_the_memory_budget_are_refused_and_the_sender_sees_it() {
    let world = World::new();
    let mut first = world.connect();
    // More than half of it, in records that are not too large.
    let large = drain_with(6, &"x".repeat(common::MEMORY_BUDGET as usize / 10), "");
    let most = large.len() - 100;
    first.write_all(&large[..most]).unwrap();
    world.wait_for("the first body to be counted", || world.reading() > common::MEMORY_BUDGET / 2);
    let mut second = world.connect();
    second.write_all(&large).unwrap();
    assert_eq!(answer(&mut second).0, 429);
    assert!(is_closed(&mut second));
    first.write_all(&large[most..]).unwrap();
    assert_eq!(answer(&mut first).0, 202);
    assert_eq!(world.reading(), 0);
}

#[test]
fn bodies_that_are_only_announced_refuse_nobody() {
    let world = World::new();
    let mut idle: Vec<_> = (1..common::CONNECTIONS).map(|_| world.connect()).collect();
    for client in &mut idle {
        // All of them together are many times what may be under way.
        client.write_all(b"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 1900000\r\n\r\n{").unwrap();
    }
    world.wait_for("their heads to be read", || world.front().stats().requests == common::CONNECTIONS - 1);
    assert!(world.reading() <= 64 * 1024 * common::CONNECTIONS as u64, "{} bytes", world.reading());
    let mut client = world.connect();
    client.write_all(&drain_with(2, &"x".repeat(400_000), "")).unwrap();
    assert_eq!(answer(&mut client).0, 202);
    drop(idle);
    world.wait_for("nothing to be held", || world.reading() == 0);
}

#[test]
fn more_connections_than_may_be_wait_for_one_that_closes() {
    let world = World::new();
    let mut open: Vec<_> = (0..common::CONNECTIONS).map(|_| world.connect()).collect();
    for client in &mut open {
        client.write_all(&drain(1)).unwrap();
        assert_eq!(answer(client).0, 202);
    }
    let mut waiting = world.connect();
    waiting.write_all(&drain(1)).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err(), "nobody is served beyond the limit");
    drop(open.pop());
    waiting.set_read_timeout(Some(common::PATIENCE)).unwrap();
    assert_eq!(answer(&mut waiting).0, 202);
    assert_eq!(world.stored(), common::CONNECTIONS as u64 + 1);
}

#[test]
fn a_stop_finishes_what_is_under_way_and_closes_what_is_idle() {
    let world = World::new();
    let (mut idle, mut busy) = (world.connect(), world.connect());
    idle.write_all(&drain(1)).unwrap();
    assert_eq!(answer(&mut idle).0, 202);
    let request = drain(1);
    busy.write_all(&request[..60]).unwrap();
    world.wait_for("the head to be read", || world.reading() > 0);
    world.front().begin_stop(common::PATIENCE);
    assert!(is_closed(&mut idle));
    busy.write_all(&request[60..]).unwrap();
    assert_eq!(answer(&mut busy).0, 202);
    assert!(is_closed(&mut busy));
    assert!(world.front().join(), "nothing was left");
    assert!(std::net::TcpStream::connect(world.address()).is_err(), "nobody listens any more");
}

#[test]
fn a_stop_ends_at_its_deadline() {
    let world = World::new();
    let mut busy = world.connect();
    busy.write_all(&drain(1)[..60]).unwrap();
    world.wait_for("the head to be read", || world.reading() > 0);
    world.front().begin_stop(Duration::from_millis(50));
    assert!(!world.front().join(), "one was left");
    assert!(is_closed(&mut busy));
}

#[test]
fn senders_that_go_away_leave_nothing_behind() {
    let world = World::new();
    let request = drain(2);
    for end in [1, 20, 60, request.len() - 1, request.len()] {
        let mut client = world.connect();
        client.write_all(&request[..end]).unwrap();
    }
    let mut tunnelled = world.connect();
    tunnelled.write_all(b"GET /").unwrap();
    drop(tunnelled);
    world.wait_for("every connection's end", || {
        let stats = world.front().stats();
        (stats.direct, stats.tunnels, stats.requests) == (0, 0, 0)
    });
    assert_eq!(world.reading(), 0);
    world.wait_for("the whole request", || world.stored() == 2);
}

#[test]
fn a_sender_of_bad_requests_that_never_lets_up_is_not_the_only_one() {
    let world = World::new();
    let flood = World::bad_requests(500);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut client = world.connect();
        let mut reader = client.try_clone().unwrap();
        let ended = &stop;
        scope.spawn(move || {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                client.write_all(&flood).unwrap();
            }
            client.shutdown(Shutdown::Write).unwrap();
        });
        scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()).unwrap());
        let mut other = world.connect();
        for _ in 0..200 {
            other.write_all(&drain(1)).unwrap();
            assert_eq!(answer(&mut other).0, 202);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(world.stored(), 200);
}

#[test]
fn a_request_that_came_before_the_stop_was_seen_is_answered() {
    for _ in 0..20 {
        let world = World::new();
        let mut client = world.connect();
        client.write_all(&drain(1)).unwrap();
        assert_eq!(answer(&mut client).0, 202);
        client.write_all(&drain(1)).unwrap();
        world.front().begin_stop(common::PATIENCE);
        assert_eq!(answer(&mut client).0, 202);
        assert!(is_closed(&mut client));
        assert!(world.front().join());
    }
}
