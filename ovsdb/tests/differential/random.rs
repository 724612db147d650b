//! Random schemas and values, from a seed.
use aorta_ovsdb::{Atom, AtomType, BaseType, ColumnType};
use serde_json::{Map, Value, json};

/// SplitMix64: the same numbers for the same seed on every machine.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A schema of a few small tables that refer to each other.
pub fn schema(random: &mut Random) -> Value {
    let count = 2 + random.below(4);
    let names: Vec<String> = (0..count).map(|n| format!("T{n}")).collect();
    // None at all, all, or some.
    let roots = random.below(4);
    let mut tables = Map::new();
    for name in &names {
        let mut columns = Map::new();
        for n in 0..2 + random.below(5) {
            columns.insert(format!("c{n}"), column(random, &names));
        }
        let mut table = json!({"columns": columns});
        if roots == 1 || roots > 1 && random.one_in(2) {
            table["isRoot"] = json!(true);
        }
        if random.one_in(6) {
            table["maxRows"] = json!(1 + random.below(4));
        }
        if random.one_in(2) {
            table["indexes"] = indexes(random, &columns);
        }
        tables.insert(name.clone(), table);
    }
    json!({"name": "Random", "version": "1.2.3", "cksum": "12345 678", "tables": tables})
}

fn indexes(random: &mut Random, columns: &Map<String, Value>) -> Value {
    // The reference takes no ephemeral column.
    let lasting = columns.iter().filter(|(_, c)| c.get("ephemeral").is_none());
    let names: Vec<&String> = lasting.map(|(name, _)| name).collect();
    let mut indexes = Vec::new();
    for _ in 0..=random.below(2) {
        let mut index: Vec<&String> = names.iter().filter(|_| random.one_in(2)).copied().collect();
        index.truncate(3);
        if !index.is_empty() {
            indexes.push(index);
        }
    }
    json!(indexes)
}

fn column(random: &mut Random, tables: &[String]) -> Value {
    let mut ty = json!({"key": base(random, tables)});
    let is_map = random.one_in(4);
    if is_map {
        ty["value"] = base(random, tables);
        // The reference forgets to count strong references that go with a weak one.
        if ty.to_string().contains("weak") && ty.to_string().matches("refTable").count() > 1 {
            ty["value"] = json!("boolean");
        }
    }
    match random.below(5) {
        0 | 1 if !is_map => {}
        0 | 2 => (ty["min"], ty["max"]) = (json!(0), json!("unlimited")),
        1 | 3 => (ty["min"], ty["max"]) = (json!(0), json!(1 + random.below(3))),
        _ => (ty["min"], ty["max"]) = (json!(1), json!(*random.pick(&[1, 2, 3]))),
    }
    if random.one_in(5) {
        ty["max"] = json!("unlimited");
    }
    let mut column = json!({"type": ty});
    let is_reference = column.to_string().contains("refTable");
    if random.one_in(8) {
        column["mutable"] = json!(false);
    }
    if !is_reference && random.one_in(8) {
        column["ephemeral"] = json!(true);
    }
    column
}

fn base(random: &mut Random, tables: &[String]) -> Value {
    let limited = random.one_in(2);
    match random.below(8) {
        0 | 1 if limited && random.one_in(3) => {
            json!({"type": "integer", "enum": ["set", [-1, 0, 2, 3]]})
        }
        0 | 1 if limited => {
            json!({"type": "integer", "minInteger": -1 + random.below(2) as i64,
                   "maxInteger": 2 + random.below(3)})
        }
        0 | 1 => json!("integer"),
        2 if limited => json!({"type": "real", "minReal": -1.5, "maxReal": 1e3}),
        2 => json!("real"),
        3 => json!("boolean"),
        4 if limited => json!({"type": "string", "enum": ["set", ["a", "b", "one two"]]}),
        4 | 5 if limited => {
            json!({"type": "string", "minLength": random.below(2), "maxLength": 2 + random.below(2)})
        }
        4 | 5 => json!("string"),
        _ => {
            let target = random.pick(tables);
            match random.below(5) {
                0 => json!("uuid"),
                1 | 2 => json!({"type": "uuid", "refTable": target, "refType": "weak"}),
                3 => json!({"type": "uuid", "refTable": target, "refType": "strong"}),
                _ => json!({"type": "uuid", "refTable": target}),
            }
        }
    }
}

/// Makes values for columns, at most one of them with a fault until [`Values::renew`] is called:
/// with two, it would be up to the server which it tells of.
pub struct Values {
    pub random: Random,
    /// Whether there may be a fault.
    may_fail: bool,
}

/// What refers to a row, by the name of its table.
pub type Reference<'a> = &'a mut dyn FnMut(&mut Random, &str) -> Value;

impl Values {
    pub fn new(random: Random) -> Self {
        Self {
            random,
            may_fail: false,
        }
    }

    /// Allows one more fault, now and then.
    pub fn renew(&mut self) {
        self.may_fail = self.random.one_in(4);
    }

    /// Whether there may be a fault yet.
    pub fn may_fail(&self) -> bool {
        self.may_fail
    }

    /// Whether to make the one fault here.
    pub fn fault(&mut self) -> bool {
        let fault = self.may_fail && self.random.one_in(5);
        self.may_fail &= !fault;
        fault
    }

    /// JSON of any type.
    pub fn junk(&mut self) -> Value {
        let all = [
            json!(null),
            json!(true),
            json!(0),
            json!(-7),
            json!(1.5),
            json!(1e30),
            json!("x"),
            json!(""),
            json!("one \"two\"\n\t\u{1}\u{e9}\u{1F600}"),
            json!([]),
            json!({}),
            json!({"b": [1], "a": 2.25}),
            json!(["uuid", "x"]),
            json!(["uuid", "00000000-0000-4000-8000-00000000000"]),
            json!(["named-uuid", "9"]),
            json!(["named-uuid", 9]),
            json!(["set", 1]),
            json!(["set", [1, "x"]]),
            json!(["set", [true, false]]),
            json!(["set", ["x", "x"]]),
            json!(["map", [["x", "x"], ["x", "x"]]]),
            json!(["map", [[1, 2, 3]]]),
            json!(["map", [["x", 1]]]),
            json!(["map", {}]),
            json!(["other", []]),
        ];
        self.random.pick(&all).clone()
    }

    pub fn datum(&mut self, ty: &ColumnType, reference: Reference<'_>) -> Value {
        if self.fault() {
            return match self.random.below(3) {
                0 => json!(["set", []]),
                1 => json!(["map", []]),
                _ => self.junk(),
            };
        }
        let most = ty.max.min(ty.min + 3);
        let count = match self.random.below(8) {
            0 => ty.min,
            1 if self.fault() => ty.max.min(4) + 1,
            _ => ty.min + self.random.below(most - ty.min + 1),
        };
        let mut keys = Vec::new();
        for _ in 0..count {
            let key = self.atom(&ty.key, reference);
            if !keys.contains(&key) || self.fault() {
                keys.push(key);
            }
        }
        match &ty.value {
            Some(value) => {
                let pairs = keys
                    .into_iter()
                    .map(|k| json!([k, self.atom(value, reference)]));
                json!(["map", pairs.collect::<Vec<_>>()])
            }
            None if keys.len() == 1 && !self.random.one_in(4) => keys.remove(0),
            None => json!(["set", keys]),
        }
    }

    pub fn atom(&mut self, base: &BaseType, reference: Reference<'_>) -> Value {
        if self.fault() {
            return self.junk();
        }
        if let Some(allowed) = &base.allowed
            && !self.fault()
        {
            let allowed: Vec<&Atom> = allowed.iter().collect();
            return self.random.pick(&allowed).to_json();
        }
        match base.ty {
            AtomType::Integer => self.integer(base),
            AtomType::Real => self.real(base),
            AtomType::Boolean => json!(self.random.one_in(2)),
            AtomType::String => self.string(base),
            AtomType::Uuid => {
                let table = base.reference.as_ref().map_or("", |r| &r.table);
                reference(&mut self.random, table)
            }
        }
    }

    fn integer(&mut self, base: &BaseType) -> Value {
        let (min, max) = (base.min_integer, base.max_integer);
        if let (Some(min), Some(max)) = (min, max) {
            let edge = self.fault();
            let value = min + self.random.below(usize::try_from(max - min + 1).unwrap()) as i64;
            return json!(if edge { max + value + 2 } else { value });
        }
        let value = match self.random.below(24) {
            0 => json!(i64::MAX),
            1 => json!(i64::MIN),
            2 if min.is_none() && max.is_none() => json!(3e2),
            n => json!(n as i64 - 8),
        };
        let fault = self.fault();
        match (min, max, value.as_i64()) {
            (Some(min), _, Some(n)) if (n < min) != fault => json!(min + (n & 7)),
            (_, Some(max), Some(n)) if (n > max) != fault => json!(max - (n & 7)),
            _ => value,
        }
    }

    fn real(&mut self, base: &BaseType) -> Value {
        let all = [
            json!(0),
            json!(1),
            json!(-1.25),
            json!(0.1),
            json!(2.5),
            json!(1e2),
            json!(123_456.789),
            json!(1e-7),
            json!(1e300),
            json!(1e15),
            json!(1.0e16),
            json!(123_456_789_012_345_680.0),
        ];
        let most = if base.max_real.is_some() && !self.fault() {
            8
        } else {
            all.len()
        };
        let most = if base.max_real.is_some() {
            most.min(6)
        } else {
            most
        };
        self.random.pick(&all[..most]).clone()
    }

    fn string(&mut self, base: &BaseType) -> Value {
        let all = [
            "",
            "a",
            "b",
            "ab",
            "\u{e9}\u{1F600}",
            "abc",
            "abcd",
            "a \"quoted\"\\ text\n\u{1}",
        ];
        let (min, max) = (base.min_length.unwrap_or(0), base.max_length.unwrap_or(99));
        let fits = |s: &&str| (min..=max).contains(&(s.chars().count() as u64));
        let fault = self.fault();
        let fitting: Vec<&str> = all.into_iter().filter(|s| fits(s) != fault).collect();
        json!(
            *self
                .random
                .pick(if fitting.is_empty() { &all } else { &fitting })
        )
    }
}
