//! Command lines made at random, run by both tools on the same database.
//!
//! The suite runs a few; `AORTA_DIFF_CASES=20000 cargo test -p aorta-ctl --test cli random` runs
//! more, and `AORTA_DIFF_SEED` chooses others.

use super::lines::{Pair, difference};

/// Cases if not told otherwise.
const DEFAULT_CASES: u64 = 150;

/// Numbers that look random but are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

const TABLES: &[&str] = &[
    "Bridge",
    "port",
    "Interface",
    "QoS",
    "queue",
    "Mirror",
    "Controller",
    "Manager",
    "SSL",
    "Open_vSwitch",
    "o",
    "Flow_Table",
    "nope",
    "i",
    "sFlow",
];
const RECORDS: &[&str] = &[
    "br0", "br1", "p1", "p2", "e1", "m0", ".", "nope", "vlan9", "ft1", "bond0",
];
const COLUMNS: &[&str] = &[
    "name",
    "tag",
    "trunks",
    "vlan_mode",
    "external_ids",
    "other-config",
    "qos",
    "ports",
    "fail_mode",
    "type",
    "options",
    "queues",
    "dscp",
    "nope",
    "t",
    "stp_enable",
    "protocols",
    "statistics",
    "limit",
    "_uuid",
    "interfaces",
    "mtu_request",
    "mirrors",
    "controller",
];
const KEYS: &[&str] = &[
    "k", "a", "k2", "max-rate", "0", "\"a b\"", "", "x:y", "peer",
];
const VALUES: &[&str] = &[
    "5",
    "10",
    "-1",
    "4096",
    "1,2",
    "1-3",
    "[]",
    "{}",
    "[1,2",
    "a=b",
    "{a=b,c=d}",
    "a",
    "true",
    "no",
    "secure",
    "\"x y\"",
    "",
    "x y",
    "access",
    "1 2",
    "@q",
    "a=b c",
    ",",
    "=",
    "p1",
    "tcp:1",
    "OpenFlow13",
    "00000000-0000-0000-0000-000000000001",
    "\"",
    "\\",
    "1.5",
];
const OPERATORS: &[&str] = &[
    "=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<=}", "{in}", "{not-in}", "",
];
const NAMES: &[&str] = &[
    "br0", "br1", "vlan9", "vlan0", "p1", "e1", "bond0", "pv", "new", "new2", "nope",
];

/// `column[:key]` with perhaps an operator and a value.
fn setting(dice: &mut Dice, operators: &[&str]) -> String {
    let key = if dice.roll(3) == 0 {
        format!(":{}", dice.pick(KEYS))
    } else {
        String::new()
    };
    let operator = dice.pick(operators);
    format!("{}{key}{operator}{}", dice.pick(COLUMNS), dice.pick(VALUES))
}

fn many(dice: &mut Dice, most: usize, mut one: impl FnMut(&mut Dice) -> String) -> Vec<String> {
    (0..=dice.roll(most)).map(|_| one(dice)).collect()
}

/// The words of one command.
fn command(dice: &mut Dice) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let option = dice.roll(4);
    let mut say = |text: &[&str]| words.extend(text.iter().map(|word| (*word).to_owned()));
    let name = |dice: &mut Dice| dice.pick(NAMES);
    match dice.roll(22) {
        0 => {
            say(&["--columns=name,tag", "--columns=_uuid", "--if-exists", ""][option..=option]);
            say(&["list", dice.pick(TABLES)]);
            words.extend(many(dice, 2, |dice| dice.pick(RECORDS).to_owned()));
        }
        1 | 2 => {
            say(&["find", dice.pick(TABLES)]);
            words.extend(many(dice, 2, |dice| setting(dice, OPERATORS)));
        }
        3 => {
            say(&["get", dice.pick(TABLES), dice.pick(RECORDS)]);
            words.extend(many(dice, 2, |dice| match dice.roll(3) {
                0 => format!("{}:{}", dice.pick(COLUMNS), dice.pick(KEYS)),
                _ => dice.pick(COLUMNS).to_owned(),
            }));
        }
        4..=8 => {
            say(&["set", dice.pick(TABLES), dice.pick(RECORDS)]);
            words.extend(many(dice, 2, |dice| {
                setting(dice, &["=", "=", "=", "", ":"])
            }));
        }
        9 | 10 => {
            let verb = dice.pick(&["add", "remove"]);
            say(&[
                verb,
                dice.pick(TABLES),
                dice.pick(RECORDS),
                dice.pick(COLUMNS),
            ]);
            words.extend(many(dice, 2, |dice| dice.pick(VALUES).to_owned()));
        }
        11 => say(&[
            "clear",
            dice.pick(TABLES),
            dice.pick(RECORDS),
            dice.pick(COLUMNS),
        ]),
        12 => {
            say(&["--id=@q", "--id=@r", "--id=x", ""][option..=option]);
            say(&["create", dice.pick(&["Queue", "QoS", "Mirror"])]);
            words.extend(many(dice, 1, |dice| setting(dice, &["="])));
        }
        13 => say(&["destroy", dice.pick(&["Queue", "QoS"]), dice.pick(RECORDS)]),
        14 => say(&["--may-exist", "add-port", name(dice), name(dice)]),
        15 => {
            say(&["add-port", name(dice), name(dice)]);
            words.extend(many(dice, 1, |dice| setting(dice, &["="])));
        }
        16 => say(&["add-br", name(dice)]),
        17 => say(&[
            "--may-exist",
            "add-br",
            name(dice),
            name(dice),
            dice.pick(&["0", "9", "5"]),
        ]),
        18 => say(&[
            dice.pick(&["--if-exists", "--with-iface"]),
            "del-port",
            name(dice),
        ]),
        19 => say(&["--if-exists", "del-br", name(dice)]),
        20 => {
            let verb = dice.pick(&["list-ports", "list-ifaces", "port-to-br", "iface-to-br"]);
            say(&[verb, name(dice)]);
        }
        _ => {
            let verb = dice.pick(&["br-to-vlan", "br-to-parent", "br-exists", "get-controller"]);
            say(&[verb, name(dice)]);
        }
    }
    // Options that were not chosen.
    if words.first().is_some_and(String::is_empty) {
        words.remove(0);
    }
    words
}

fn line(dice: &mut Dice) -> Vec<String> {
    let mut words = Vec::new();
    let global = [
        "--oneline",
        "--dry-run",
        "-fcsv",
        "-fjson",
        "-dbare",
        "--no-headings",
    ];
    if dice.roll(4) == 0 {
        words.push(dice.pick(&global).to_owned());
    }
    for n in 0..=dice.roll(3) / 2 {
        if n > 0 {
            words.push("--".to_owned());
        }
        words.extend(command(dice));
    }
    words
}

fn setting_of(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value} is not a number")),
    )
}

#[test]
fn random_command_lines_do_the_same() {
    let cases = setting_of("AORTA_DIFF_CASES").unwrap_or(DEFAULT_CASES);
    let seed = setting_of("AORTA_DIFF_SEED").unwrap_or(1);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut pair = Pair::start();
    let mut faults = Vec::new();
    for _ in 0..cases {
        let words = line(&mut dice);
        let (expected, found) = pair.run(&words);
        let differing = difference(&expected, &found);
        // ovs-vsctl's message stops in the middle where the "=" of a pair is missing.
        let known = differing.len() == 1 && expected.stderr.ends_with("syntax error at \"\n");
        if !differing.is_empty() && !known {
            let told: Vec<&str> = differing.values().map(String::as_str).collect();
            faults.push(format!("{words:?}\n{}", told.join("\n")));
        }
    }
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{count} of {cases} from {seed}:\n{}",
        faults.join("\n")
    );
}
