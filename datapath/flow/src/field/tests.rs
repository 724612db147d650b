use std::collections::HashSet;

use super::*;

#[test]
fn names_and_codes_are_unique() {
    let mut seen = HashSet::new();
    for id in FieldId::all() {
        let field = id.field();
        let names = [
            Some(field.name),
            field.alias,
            field.oxm.map(|c| c.name),
            field.nxm.map(|c| c.name),
        ];
        for name in names.into_iter().flatten() {
            assert!(seen.insert(name), "{name} names two fields");
            assert_eq!(FieldId::by_name(name), Some(id));
        }
    }
    let mut codes = HashSet::new();
    for code in FieldId::all()
        .flat_map(|id| [id.field().oxm, id.field().nxm])
        .flatten()
    {
        assert!(
            codes.insert((code.class, code.number)),
            "{} is used twice",
            code.name
        );
    }
}

#[test]
fn overlays_lie_inside_their_homes() {
    for id in FieldId::all() {
        let field = id.field();
        let home = field.home.field();
        assert_eq!(home.home, field.home, "{id}: the home of a home is itself");
        assert!(
            field.shift + field.key_bits <= home.key_bits,
            "{id} is wider than its home"
        );
    }
    assert_eq!(FieldId::reg(5).field().shift, 64);
    assert_eq!(FieldId::reg(5).field().home, FieldId::xxreg(1));
    assert_eq!(FieldId::xreg(3).field().shift, 0);
}

#[test]
fn values_print_as_they_are_read() {
    for (field, text, printed) in [
        ("nw_src", "10.1.2.3/8", "10.0.0.0/8"),
        ("nw_src", "1.2.3.4/255.0.255.0", "1.0.3.0/255.0.255.0"),
        ("ipv6_dst", "fe80::1:2/10", "fe80::/10"),
        ("ipv6_dst", "::1:203", "::0.1.2.3"),
        ("ipv6_src", "::1/::ff", "::1/::ff"),
        (
            "dl_dst",
            "1:0:0:0:0:0/01:00:00:00:00:00",
            "01:00:00:00:00:00/01:00:00:00:00:00",
        ),
        ("reg0", "0x10/0xf0", "0x10/0xf0"),
        ("reg0", "0", "0"),
        ("ct_state", "+trk-new", "-new+trk"),
        ("ct_state", "0x21", "new|trk"),
        ("tcp_flags", "0x12/0x12", "+syn+ack"),
        ("tcp_flags", "syn|ack", "syn|ack"),
        ("tun_flags", "oam", "+oam"),
        ("ip_frag", "not_later", "not_later"),
        ("packet_type", "(1,0x894f)", "(1,0x894f)"),
        ("in_port", "0xfffffffe", "LOCAL"),
        ("in_port", "local", "LOCAL"),
    ] {
        let id = FieldId::by_name(field).unwrap();
        let (value, mask) = parse_value(id, text).unwrap();
        let mut out = String::new();
        show(&mut out, id, value, mask);
        assert_eq!(out, printed, "{field}={text}");
    }
}

#[test]
fn bad_values_are_refused() {
    for (field, text) in [
        ("nw_ttl", "256"),
        ("reg0", "0x1ffffffff"),
        ("reg0", "010"),
        ("reg0", ""),
        ("reg0", "5/"),
        ("reg0", "+5"),
        ("nw_src", "10.0.0.0/33"),
        ("nw_proto", "6/7"),
        ("ct_state", "+trk+trk"),
        ("ct_state", "+bogus"),
        ("ip_frag", "maybe"),
        ("arp_op", "0x10000"),
        ("in_port", "70000"),
    ] {
        let id = FieldId::by_name(field).unwrap();
        assert!(parse_value(id, text).is_err(), "{field}={text} was taken");
    }
}

#[test]
fn the_nearest_name_is_near() {
    assert_eq!(nearest("nw_scr", FieldId::names()), Some("nw_src"));
    assert_eq!(nearest("tp_dest", FieldId::names()), Some("tp_dst"));
    assert_eq!(nearest("unrelated", FieldId::names()), None);
}
