//! Specifications and what they do.

use super::*;

fn levels() -> Levels {
    Levels::new(true, |_| Level::Info)
}

fn set(levels: &mut Levels, spec: &str) {
    levels.apply(Spec::parse(spec).unwrap());
}

fn of(levels: &Levels, module: &str) -> [Level; 3] {
    Destination::ALL.map(|to| levels.level(module_named(module).unwrap(), to))
}

#[test]
fn words_come_in_any_order_and_missing_ones_mean_all() {
    use Level::{Dbg, Emer, Err, Info, Off};
    for (spec, jsonrpc, bridge) in [
        ("jsonrpc:file:dbg", [Off, Off, Dbg], [Off, Off, Info]),
        ("DBG,JSONRPC FILE", [Off, Off, Dbg], [Off, Off, Info]),
        ("jsonrpc:err", [Err, Err, Err], [Off, Off, Info]),
        ("console:emer", [Emer, Off, Info], [Emer, Off, Info]),
        ("any:any:off", [Off; 3], [Off; 3]),
        ("ANY:syslog", [Off, Dbg, Info], [Off, Dbg, Info]),
        ("", [Dbg; 3], [Dbg; 3]),
    ] {
        let mut levels = levels();
        set(&mut levels, spec);
        assert_eq!(
            (of(&levels, "jsonrpc"), of(&levels, "bridge")),
            (jsonrpc, bridge),
            "{spec}"
        );
    }
}

#[test]
fn what_means_nothing_is_named() {
    for (spec, words) in [
        ("foo", "no destination, level, or module \"foo\""),
        ("any:any:bar", "no destination, level, or module \"bar\""),
        ("jsonrpc:bridge:dbg", "cannot specify multiple modules"),
        ("console:file:dbg", "cannot specify multiple destinations"),
        ("info:dbg", "cannot specify multiple levels"),
        ("PATTERN", "missing destination"),
        ("pattern::x", "missing destination"),
        ("PATTERN:foo:%m", "unknown destination \"foo\""),
        ("FACILITY:xx", "invalid facility"),
    ] {
        assert_eq!(Spec::parse(spec).unwrap_err().to_string(), words);
    }
}

#[test]
fn lists_have_open_vswitch_columns() {
    let mut levels = levels();
    set(&mut levels, "jsonrpc:console:warn");
    levels.limit(&["jsonrpc".into()], false).unwrap();
    let list = levels.list();
    assert!(list.starts_with("                 console    syslog    file\n"));
    assert!(
        list.contains("\nbridge             OFF        OFF       INFO\n"),
        "{list}"
    );
    assert!(
        list.contains(
            "\njsonrpc           WARN        OFF       INFO    (rate limiting disabled)\n"
        ),
        "{list}"
    );
    set(&mut levels, "PATTERN:file:%m:%p");
    assert_eq!(
        levels.list_patterns(),
        "         prefix                            format
         ------                            ------
SYSLOG   <%B> %D{%h %e %T} %E %A:          ovs|%05N|%c%T|%p|%m
CONSOLE  none                              %D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m
FILE     none                              %m:%p
"
    );
}

#[test]
fn limits_are_set_for_known_modules_only() {
    let mut levels = levels();
    let refused = levels.limit(&["api".into(), "foo".into()], false);
    assert_eq!(refused.unwrap_err().to_string(), "unknown module");
    assert!((0..MODULES.len()).all(|at| levels.limited(at)));
    levels.limit(&[], false).unwrap();
    assert!((0..MODULES.len()).all(|at| !levels.limited(at)));
}
