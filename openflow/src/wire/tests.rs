//! Messages both ways.

use super::*;
use crate::error::WireError;
use crate::message::{
    Capabilities, Features, FragmentHandling, Hello, Message, ReportedError, SwitchConfig,
};
use crate::version::Versions;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// These bytes mean this message, and the message becomes these bytes.
fn both_ways(hex: &str, version: Version, xid: u32, message: Message) {
    let envelope = Envelope {
        version,
        xid,
        message,
    };
    let bytes = bytes(hex);
    assert_eq!(decode(&bytes, Context::default()), Ok(envelope.clone()));
    assert_eq!(encode(&envelope, Context::default()), Ok(bytes));
}

#[test]
fn hello_with_and_without_bitmap() {
    let hello = |versions| Message::Hello(Hello { versions });
    both_ways(
        "05000010 00000001 00010008 00000032",
        Version::OpenFlow14,
        1,
        hello(Versions::from_text("OpenFlow10,OpenFlow13,OpenFlow14").unwrap()),
    );
    both_ways(
        "04000008 00000002",
        Version::OpenFlow13,
        2,
        hello(Versions::up_to(Version::OpenFlow13)),
    );
    // A version that isn't known, and elements that can't be understood.
    let later = decode(&bytes("0700000c 00000002 00020001"), Context::default()).unwrap();
    assert_eq!(later.message, hello(Versions::ALL));
}

#[test]
fn errors_of_the_standard_and_of_experimenters() {
    let error = |code| {
        Message::Error(ErrorMessage {
            error: ReportedError::Known(code),
            data: vec![1, 2],
        })
    };
    let overlap = error(ErrorCode::OFPFMFC_OVERLAP);
    both_ways(
        "0101000e 00000001 00030001 0102",
        Version::OpenFlow10,
        1,
        overlap.clone(),
    );
    both_ways(
        "0401000e 00000001 00050003 0102",
        Version::OpenFlow13,
        1,
        overlap,
    );
    let nxm = error(ErrorCode::NXBRC_NXM_INVALID);
    both_ways(
        "01010016 00000001 b0c20000 00002320 00010100 0102",
        Version::OpenFlow10,
        1,
        nxm.clone(),
    );
    both_ways(
        "06010012 00000001 ffff0002 00002320 0102",
        Version::OpenFlow15,
        1,
        nxm,
    );
    let unknown = Message::Error(ErrorMessage {
        error: ReportedError::Unknown(WireError {
            vendor: 0,
            kind: 99,
            code: 7,
        }),
        data: Vec::new(),
    });
    both_ways(
        "0501000c 00000001 00630007",
        Version::OpenFlow14,
        1,
        unknown,
    );
}

#[test]
fn echoes_and_barriers() {
    both_ways(
        "0102000a 00000009 abcd",
        Version::OpenFlow10,
        9,
        Message::EchoRequest(vec![0xab, 0xcd]),
    );
    both_ways(
        "06030008 00000009",
        Version::OpenFlow15,
        9,
        Message::EchoReply(Vec::new()),
    );
    both_ways(
        "01120008 00000009",
        Version::OpenFlow10,
        9,
        Message::BarrierRequest,
    );
    both_ways(
        "01130008 00000009",
        Version::OpenFlow10,
        9,
        Message::BarrierReply,
    );
    both_ways(
        "02140008 00000009",
        Version::OpenFlow11,
        9,
        Message::BarrierRequest,
    );
    both_ways(
        "06150008 00000009",
        Version::OpenFlow15,
        9,
        Message::BarrierReply,
    );
}

#[test]
fn features_and_configuration() {
    let features = Features {
        datapath_id: 0x1122_3344_5566,
        n_buffers: 0,
        n_tables: 254,
        auxiliary_id: 1,
        capabilities: Capabilities(0x4f),
        actions: 0,
        ports: Vec::new(),
    };
    both_ways(
        "04060020 00000001 0000112233445566 00000000 fe010000 0000004f 00000000",
        Version::OpenFlow13,
        1,
        Message::FeaturesReply(features),
    );
    let config = SwitchConfig {
        fragments: FragmentHandling::NxMatch,
        invalid_ttl_to_controller: None,
        miss_send_len_bytes: 128,
    };
    both_ways(
        "0109000c 00000001 00030080",
        Version::OpenFlow10,
        1,
        Message::SetConfig(config),
    );
    let with_ttl = SwitchConfig {
        invalid_ttl_to_controller: Some(true),
        ..config
    };
    both_ways(
        "0308000c 00000001 00070080",
        Version::OpenFlow12,
        1,
        Message::GetConfigReply(with_ttl),
    );
    let refused = decode(&bytes("0409000c 00000001 00070080"), Context::default());
    assert_eq!(
        refused.map_err(|e| e.code),
        Err(ErrorCode::OFPSCFC_BAD_FLAGS)
    );
}

#[test]
fn what_is_refused_is_quoted() {
    let code = |hex: &str| decode(&bytes(hex), Context::default()).unwrap_err().code;
    assert_eq!(
        code("0414000c 00000001 00000000"),
        ErrorCode::OFPBRC_BAD_LEN
    );
    assert_eq!(code("04140008 00000001 00"), ErrorCode::OFPBRC_BAD_LEN);
    assert_eq!(code("043f0008 00000001"), ErrorCode::OFPBRC_BAD_TYPE);
    assert_eq!(code("04ff0008 00000001"), ErrorCode::OFPBRC_BAD_TYPE);
    assert_eq!(code("09020008 00000001"), ErrorCode::OFPBRC_BAD_VERSION);
    assert_eq!(
        code("0404000f 00000001 00000001 000000"),
        ErrorCode::OFPBRC_BAD_VENDOR
    );
    assert_eq!(
        code("04040010 00000001 00002320 000003e7"),
        ErrorCode::OFPBRC_BAD_SUBTYPE
    );
    assert_eq!(
        code("04120010 00000001 00770000 00000000"),
        ErrorCode::OFPBRC_BAD_STAT
    );
    let request = bytes("043f0050 0000002a").into_iter().chain([0x55; 72]);
    let request: Vec<u8> = request.collect();
    let refused = decode(&request, Context::default()).unwrap_err();
    let reply = encode(&refused.reply(), Context::default()).unwrap();
    assert_eq!(reply[..12], bytes("0401005c 0000002a 00010001")[..]);
    assert_eq!(reply[12..], request);
}
