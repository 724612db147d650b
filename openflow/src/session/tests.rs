use super::*;

const T0: Duration = Duration::from_secs(100);
const PROBE: Duration = Duration::from_secs(5);

fn after(seconds: u64) -> Duration {
    T0 + Duration::from_secs(seconds)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Gives a session bytes; what it made of them, one word each.
fn feed(session: &mut Session, bytes: &[u8], now: Duration) -> (String, Result<(), SessionEnd>) {
    let mut seen = Vec::new();
    let done = session.receive(bytes, now, &mut |input| {
        seen.push(match input {
            Input::Agreed(version) => format!("agreed {}", version.number()),
            Input::Message { envelope, .. } => format!("message {}", envelope.xid),
            Input::Unreadable { reply, .. } => match reply.message {
                Message::Error(ErrorMessage {
                    error: ReportedError::Known(code),
                    data,
                }) => format!("{code} {} {}", reply.version.number(), data.len()),
                other => panic!("{other:?}"),
            },
            Input::Handled { .. } => "handled".to_owned(),
        });
    });
    (seen.join(", "), done)
}

/// Gives a session bytes that it must not refuse.
fn pass(session: &mut Session, bytes: &[u8], now: Duration) {
    feed(session, bytes, now).1.unwrap();
}

fn versions(text: &str) -> Versions {
    Versions::from_text(text).unwrap()
}

fn session(ours: Versions) -> Session {
    Session::new(ours, Some(PROBE), T0)
}

/// One that has agreed on 1.3.
fn agreed() -> Session {
    let mut session = session(Versions::ALL);
    let (seen, done) = feed(&mut session, &hex("0400 0008 0000 0001"), T0);
    assert_eq!((&*seen, done), ("handled, agreed 4", Ok(())));
    session.take_output();
    session
}

#[test]
fn our_hello_has_a_bitmap_where_the_header_does_not_say_it_all() {
    assert_eq!(
        session(Versions::ALL).take_output(),
        hex("0600 0008 0000 0001")
    );
    let holes = session(versions("OpenFlow10,OpenFlow13,OpenFlow14")).take_output();
    assert_eq!(holes, hex("0500 0010 0000 0001 0001 0008 0000 0032"));
}

#[test]
fn every_pair_of_sets_agrees_as_the_standard_says() {
    for (ours, theirs, outcome) in [
        // Without a bitmap the lower of the two.
        (
            "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13",
            "0100 0008 00000001",
            Some(1),
        ),
        (
            "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13",
            "0600 0008 00000001",
            Some(4),
        ),
        ("OpenFlow10,OpenFlow13", "0300 0008 00000001", Some(1)),
        ("OpenFlow13", "0300 0008 00000001", None),
        // With one the highest that both have.
        (
            "OpenFlow10,OpenFlow13",
            "0500 0010 00000001 0001 0008 0000 0032",
            Some(4),
        ),
        ("OpenFlow14", "0600 0010 00000001 0001 0008 0000 0050", None),
        // A later version than any known.
        ("OpenFlow10,OpenFlow15", "0900 0008 00000001", Some(6)),
        ("OpenFlow15", "0900 0010 00000001 0001 0008 0000 0200", None),
        // Elements that can't be read are passed over.
        ("OpenFlow13", "0400 000c 00000001 0001 0002", Some(4)),
        ("OpenFlow13", "0400 000c 00000001 0077 0004", Some(4)),
    ] {
        let mut session = session(versions(ours));
        session.take_output();
        let (seen, done) = feed(&mut session, &hex(theirs), T0);
        match outcome {
            Some(version) => {
                assert_eq!(
                    seen,
                    format!("handled, agreed {version}"),
                    "{ours} {theirs}"
                );
                assert_eq!(session.take_output(), []);
            }
            None => {
                assert!(
                    matches!(done, Err(SessionEnd::NoCommonVersion(_))),
                    "{ours} {theirs}"
                );
                let error = session.take_output();
                let known = Version::from_number(hex(theirs)[0]);
                let version = known.map_or(1, Version::number);
                assert_eq!(error[..2], [version, 1]);
                assert_eq!(error[8..12], [0; 4], "HELLO_FAILED, INCOMPATIBLE");
                let text = String::from_utf8_lossy(&error[12..]);
                assert!(text.contains("no common versions"), "{text}");
            }
        }
    }
}

#[test]
fn versions_in_words() {
    assert_eq!(greeting_words(Versions::ALL), "version 0x06 and earlier");
    assert_eq!(greeting_words(versions("OpenFlow13")), "version 0x04");
    assert_eq!(
        greeting_words(versions("OpenFlow10,OpenFlow13")),
        "versions 0x01, 0x04"
    );
}

fn greeting_words(ours: Versions) -> String {
    let mut session = session(ours);
    session.take_output();
    let (_, end) = feed(
        &mut session,
        &hex("0900 0010 00000001 0001 0008 0000 0200"),
        T0,
    );
    let text = end.unwrap_err().to_string();
    let text = text.strip_prefix("no common version: we have ").unwrap();
    let (ours, theirs) = text.split_once(", the peer has ").unwrap();
    assert_eq!(theirs, "version 0x09");
    ours.to_owned()
}

/// Messages before and after the greeting; each header in 1.3 unless it says otherwise.
#[test]
fn every_kind_of_message_in_every_state() {
    for (what, bytes, before, after) in [
        (
            "echo request",
            "0402 000b 00000002 aabbcc",
            "closed 2",
            "handled",
        ),
        ("echo reply", "0403 0008 00000002", "closed 3", "handled"),
        ("features", "0405 0008 00000002", "closed 5", "message 2"),
        ("barrier", "0414 0008 00000002", "closed 20", "message 2"),
        (
            "unknown type",
            "0463 0008 00000002",
            "closed 99",
            "OFPBRC_BAD_TYPE 4 8",
        ),
        (
            "other version",
            "0105 0008 00000002",
            "closed 5",
            "OFPBRC_BAD_VERSION 1 8",
        ),
        (
            "unknown version",
            "0905 0008 00000002",
            "closed 5",
            "OFPBRC_BAD_VERSION 4 8",
        ),
        (
            "too long",
            "0405 0009 00000002 aa",
            "closed 5",
            "OFPBRC_BAD_LEN 4 9",
        ),
        (
            "second hello",
            "0400 0008 00000002",
            "agreed",
            "OFPBRC_BAD_TYPE 4 8",
        ),
        (
            "hello of version 0",
            "0000 0008 00000002",
            "closed 0",
            "OFPBRC_BAD_TYPE 4 8",
        ),
        ("too short", "0405 0007 00000002", "framing", "framing"),
    ] {
        for (mut session, expected) in [(session(Versions::ALL), before), (agreed(), after)] {
            let (seen, done) = feed(&mut session, &hex(bytes), T0);
            let outcome = match done {
                Err(SessionEnd::NoGreeting { kind }) => format!("closed {kind}"),
                Err(SessionEnd::Framing(_)) => "framing".to_owned(),
                Err(other) => panic!("{what}: {other}"),
                Ok(()) if seen.starts_with("handled, agreed") => "agreed".to_owned(),
                Ok(()) => seen,
            };
            assert_eq!(outcome, expected, "{what}");
        }
    }
}

#[test]
fn an_echo_is_answered_with_the_same_bytes() {
    let mut session = agreed();
    pass(&mut session, &hex("0402 000b 00000002 aabbcc"), T0);
    assert_eq!(session.take_output(), hex("0403 000b 00000002 aabbcc"));
    pass(&mut session, &hex("0102 0008 00000003"), T0);
    assert_eq!(session.take_output(), hex("0103 0008 00000003"));
}

#[test]
fn messages_come_in_order_however_the_bytes_come() {
    let stream = hex("0400 0008 00000001 0405 0008 00000002 0402 0008 00000003 0414 0008 00000004");
    for size in 1..=stream.len() {
        let mut session = session(Versions::ALL);
        let mut seen = Vec::new();
        for part in stream.chunks(size) {
            let (words, done) = feed(&mut session, part, T0);
            done.unwrap();
            seen.extend((!words.is_empty()).then_some(words));
        }
        assert_eq!(
            seen.join(", "),
            "handled, agreed 4, message 2, handled, message 4"
        );
    }
}

#[test]
fn who_is_silent_is_asked_and_then_given_up() {
    let mut session = agreed();
    assert_eq!(session.next_wake(), Some(after(5)));
    session.on_time(after(4)).unwrap();
    assert_eq!(session.take_output(), []);
    session.on_time(after(5)).unwrap();
    assert_eq!(session.take_output(), hex("0402 0008 00000000"));
    assert!(session.is_asked());
    assert_eq!(session.next_wake(), Some(after(10)));
    session.on_time(after(9)).unwrap();
    assert_eq!(session.take_output(), [], "asked once");
    let end = session.on_time(after(10)).unwrap_err();
    assert_eq!(
        end.to_string(),
        "no response to inactivity probe after 5 seconds"
    );
}

#[test]
fn any_word_is_a_sign_of_life() {
    let mut session = agreed();
    session.on_time(after(5)).unwrap();
    pass(&mut session, &hex("0403"), after(7));
    assert!(!session.is_asked());
    assert_eq!(session.next_wake(), Some(after(12)));
    session.set_probe(None);
    assert_eq!(
        session.next_wake(),
        Some(after(67)),
        "the rest of the message is due"
    );
    session.on_time(after(66)).unwrap();
    assert_eq!(session.on_time(after(67)), Err(SessionEnd::Stalled));
}

#[test]
fn who_does_not_greet_is_given_up() {
    let mut session = session(Versions::ALL);
    assert_eq!(session.next_wake(), Some(T0 + GREETING));
    session.on_time(after(9)).unwrap();
    assert_eq!(session.on_time(after(10)), Err(SessionEnd::Speechless));
}

#[test]
fn a_slow_sender_of_whole_messages_is_not_stalled() {
    let mut session = agreed();
    session.set_probe(None);
    let request = hex("0405 0008 00000002");
    pass(&mut session, &request[..4], T0);
    pass(
        &mut session,
        &[&request[4..], &request[..2]].concat(),
        after(50),
    );
    session.on_time(after(100)).unwrap();
    pass(&mut session, &request[2..], after(105));
    assert_eq!(session.next_wake(), None);
}
#[test]
fn what_the_table_in_a_command_means_is_remembered() {
    let mut session = session(versions("OpenFlow10"));
    pass(&mut session, &hex("0100 0008 00000001"), T0);
    assert!(!session.context().flow_mod_table_id);
    // NXT_FLOW_MOD_TABLE_ID.
    let on = hex("0104 0018 00000002 00002320 0000000f 01 00000000000000");
    let (seen, _) = feed(&mut session, &on, T0);
    assert_eq!(seen, "message 2");
    assert!(session.context().flow_mod_table_id);
}
