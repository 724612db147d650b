//! Tests of the value syntax.

use super::*;
use aorta_ovsdb::DatabaseSchema;

fn read(table: &str, column: &str, text: &str) -> Result<Datum, ValueError> {
    let schema = DatabaseSchema::vswitch();
    let ty = &schema.table(table).unwrap().column(column).unwrap().ty;
    datum(text, ty, &mut Symbols::default())
}

fn refused(table: &str, column: &str, text: &str) -> String {
    read(table, column, text).unwrap_err().to_string()
}

#[test]
fn sets_take_commas_spaces_brackets_and_ranges() {
    let expected = Ok(Datum::set([1, 2, 3, 7]));
    for text in ["1,2,3,7", "1 2 3 7", "[1, 2,3 7]", " 1-3,7", "[7,1-3]"] {
        assert_eq!(read("Port", "trunks", text), expected, "{text}");
    }
    assert_eq!(read("Port", "trunks", "[]"), Ok(Datum::empty()));
    assert_eq!(read("Port", "tag", "[7]"), Ok(Datum::scalar(7)));
}

#[test]
fn maps_take_commas_spaces_and_braces() {
    let expected = Ok(Datum::map([("a", "b"), ("c", "d:e"), ("true", "1")]));
    for text in ["a=b,c=\"d:e\",true=1", "{a=b c=\"d:e\" \"true\"=1}"] {
        assert_eq!(read("Bridge", "external_ids", text), expected, "{text}");
    }
    assert_eq!(
        read("Bridge", "external_ids", "{}"),
        Ok(Datum::map::<&str, &str>([]))
    );
}

#[test]
fn quoted_strings_follow_json() {
    let expected = Ok(Datum::scalar("a \"b\" é\n"));
    assert_eq!(
        read("Bridge", "datapath_type", r#""a \"b\" \u00e9\n""#),
        expected
    );
    assert_eq!(
        read("Bridge", "datapath_type", "\"\""),
        Ok(Datum::scalar(""))
    );
}

#[test]
fn booleans_have_several_spellings() {
    for text in ["true", "yes", "on", "1"] {
        assert_eq!(read("Bridge", "stp_enable", text), Ok(Datum::scalar(true)));
    }
    for text in ["false", "no", "off", "0"] {
        assert_eq!(read("Bridge", "stp_enable", text), Ok(Datum::scalar(false)));
    }
    assert!(read("Bridge", "stp_enable", "True").is_err());
}

#[test]
fn a_name_stands_for_a_row() {
    let schema = DatabaseSchema::vswitch();
    let ty = &schema.table("QoS").unwrap().column("queues").unwrap().ty;
    let mut symbols = Symbols::default();
    let read = datum("0=@q", ty, &mut symbols).unwrap();
    assert_eq!(read, Datum::map([(0, symbols.reference("@q"))]));
}

#[test]
fn limits_are_checked_and_named() {
    let cases = [
        (
            "tag",
            "5000",
            "constraint violation: 5000 is not in the valid range 0 to 4095 (inclusive)",
        ),
        (
            "tag",
            "1,2",
            "1,2: 2 value(s) specified but the maximum number is 1",
        ),
        ("tag", "abc", "\"abc\" is not a valid integer or range"),
        ("tag", "7x", "\"7x\" is not a valid integer or range"),
        (
            "trunks",
            "5-3",
            "\"5-3\" is not a valid range. Range end cannot be before start.",
        ),
        (
            "trunks",
            "0-9999",
            "constraint violation: 9999 is not in the valid range 0 to 4095 (inclusive)",
        ),
        (
            "cvlans",
            "0-4096",
            "constraint violation: 4096 is not in the valid range 0 to 4095 (inclusive)",
        ),
        (
            "vlan_mode",
            "foo",
            "constraint violation: foo is not one of the allowed values ([access, dot1q-tunnel, \
             native-tagged, native-untagged, trunk])",
        ),
    ];
    for (column, text, message) in cases {
        assert_eq!(refused("Port", column, text), message);
    }
    assert_eq!(
        refused("Interface", "cfm_remote_mpids", "0-4096"),
        "constraint violation: Range \"0-4096\" is too big. Maximum allowed size is 4096."
    );
    assert!(refused("Interface", "mtu_request", "0").contains("less than minimum"));
}

#[test]
fn malformed_values_are_told_apart() {
    let cases = [
        (
            "Port",
            "trunks",
            "[1,2",
            "[1,2: missing \"]\" at end of data",
        ),
        (
            "Port",
            "trunks",
            "[1]2",
            "[1]2: trailing garbage after \"]\"",
        ),
        ("Port", "trunks", "1,1", "1,1: set contains duplicate value"),
        ("Port", "trunks", "", "use \"[]\" to specify the empty set"),
        (
            "Bridge",
            "external_ids",
            " ",
            "use \"{}\" to specify the empty map",
        ),
        (
            "Bridge",
            "external_ids",
            "a",
            "a: syntax error at the end expecting \"=\"",
        ),
        (
            "Bridge",
            "external_ids",
            "a=",
            "An empty string is not valid as input; use \"\" to represent the empty string",
        ),
        (
            "Bridge",
            "external_ids",
            "a=b,a=c",
            "a=b,a=c: map contains duplicate key",
        ),
        (
            "Bridge",
            "external_ids",
            "[a=b]",
            "[a=b]: unexpected \"[\" parsing map of (string, string) pairs",
        ),
        (
            "Controller",
            "target",
            "tcp:1.1.1.1",
            "tcp:1.1.1.1: unexpected \":\" parsing string",
        ),
        (
            "Bridge",
            "datapath_type",
            "\"a",
            "\"a: quoted string extends past end of argument",
        ),
        ("Bridge", "ports", "zz", "\"zz\" is not a valid UUID"),
    ];
    for (table, column, text, message) in cases {
        assert_eq!(refused(table, column, text), message);
    }
}

#[test]
fn arguments_split_into_column_key_and_value() {
    let arg = split_argument("external-ids:iface-id=a=b:c").unwrap();
    assert_eq!(
        (&*arg.column, arg.key.as_deref(), arg.rest),
        ("external-ids", Some("iface-id"), "a=b:c")
    );
    let arg = split_argument("external_ids:\"a=b\"=c").unwrap();
    assert_eq!((arg.key.as_deref(), arg.rest), (Some("\"a=b\""), "c"));
    for bad in ["tag", "tag=", "tag:x", "a:b:c=d"] {
        assert!(
            matches!(split_argument(bad), Err(ValueError::NoOperator { .. })),
            "{bad}"
        );
    }
    assert!(matches!(
        split_argument("=x"),
        Err(ValueError::NoColumn { .. })
    ));
    let (arg, operator) = split_condition("options:peer{!=}x").unwrap();
    assert_eq!(
        (&*arg.column, arg.key.as_deref(), arg.rest),
        ("options", Some("peer"), "x")
    );
    assert!(operator.is_set());
    assert!(matches!(
        ColumnArg::parse_whole("a:b:c"),
        Err(ValueError::TrailingGarbage { .. })
    ));
}

#[test]
fn a_value_under_a_key_is_taken_as_it_stands() {
    let schema = DatabaseSchema::vswitch();
    let ty = &schema
        .table("Interface")
        .unwrap()
        .column("external_ids")
        .unwrap()
        .ty;
    let base = ty.value.as_ref().unwrap();
    let symbols = &mut Symbols::default();
    assert_eq!(atom("52:54 x,y", base, symbols), Ok("52:54 x,y".into()));
    assert_eq!(atom("\"52:54\"", base, symbols), Ok("52:54".into()));
    assert!(matches!(
        atom("\"a\"b", base, symbols),
        Err(ValueError::Quoting { .. })
    ));
}
