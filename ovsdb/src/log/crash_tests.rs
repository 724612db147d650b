//! Power failures at every place of commit, flush, compaction, repair and conversion, with a disk
//! that fails now and then. `AORTA_CRASH_SEEDS` says how many courses of events are tried.
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::faulty::{FaultyDisk, IO, Kind};
use super::{
    CompactionJob, CompactionJobDone, CompactionStep, Log, SyncHandle, encode_transaction,
};
use crate::db::testing::transact;
use crate::db::{Db, Delta};
use crate::schema::DatabaseSchema;

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }
}

/// A schema with `columns` columns beside the one that counts transactions.
fn schema(columns: usize) -> Arc<DatabaseSchema> {
    let mut all = json!({"n": {"type": "integer"}, "text": {"type": "string"}});
    for column in 0..columns {
        all[format!("more{column}")] =
            json!({"type": {"key": "integer", "min": 0, "max": "unlimited"}});
    }
    let json = json!({"name": "d", "version": format!("{columns}.0.0"), "tables": {
        "count": {"isRoot": true, "columns": {"n": {"type": "integer"}}},
        "t": {"isRoot": true, "columns": all}}});
    Arc::new(DatabaseSchema::from_json(json).unwrap())
}

/// Contents without versions, the same for the same rows.
fn print(db: &Db) -> String {
    let mut rows: Vec<String> = db
        .tables()
        .flat_map(|t| t.rows().map(|r| format!("{} {}", r.uuid(), r.to_json())))
        .collect();
    rows.sort_unstable();
    format!("{} {}", db.schema().version, rows.join(";"))
}

/// A database on a disk, everything that it ever was, and what was promised to last.
struct Scene {
    disk: FaultyDisk,
    log: Log,
    db: Db,
    dice: Dice,
    /// What the database was after each transaction.
    states: Vec<String>,
    /// From an operation of the disk on, which state a client was told to be on the disk.
    promised: Vec<(usize, usize)>,
    /// States that were refused, and between which operations of the disk.
    refused: Vec<(RangeInclusive<usize>, Vec<String>)>,
    /// How many states there were at some operation of the disk.
    reached: Vec<(usize, usize)>,
    flush: Option<(SyncHandle, usize)>,
    job: Option<CompactionJob>,
    /// What came of a job, and which state there was then.
    done: Option<(CompactionJobDone, usize)>,
    columns: usize,
    compactions: usize,
    cures: usize,
    failed_flushes: usize,
}

const PATH: &str = "/d/conf.db";

impl Scene {
    fn new(seed: u64) -> Self {
        let disk = FaultyDisk::default();
        let (log, db) = Log::open_on(Arc::new(disk.clone()), Path::new(PATH), &schema(0)).unwrap();
        let mut scene = Self {
            disk,
            log,
            dice: Dice(seed),
            states: vec![print(&db)],
            db,
            promised: Vec::new(),
            refused: Vec::new(),
            reached: Vec::new(),
            flush: None,
            job: None,
            done: None,
            columns: 0,
            compactions: 0,
            cures: 0,
            failed_flushes: 0,
        };
        scene.promise(0);
        scene.reach();
        scene
    }

    fn promise(&mut self, state: usize) {
        self.promised.push((self.disk.ops(), state));
    }

    fn reach(&mut self) {
        self.reached.push((self.disk.ops(), self.states.len() - 1));
    }

    /// Some transactions with one write.
    fn commit(&mut self) {
        let (before, from) = (self.states.len(), self.disk.ops());
        let (mut deltas, mut records) = (Vec::new(), Vec::new());
        for _ in 0..=self.dice.below(3) {
            let delta = self.execute();
            records.extend(encode_transaction(&delta, 7).unwrap_or_default());
            deltas.push(delta);
        }
        // From here on they may be there.
        self.reach();
        if self.log.append_records(&records, 1).is_err() {
            for delta in deltas.iter().rev() {
                self.db.revert(delta);
            }
            // Whole records of them may be there until what was written is cut off.
            let refused = self.states.split_off(before);
            self.reach();
            self.refused.push((from..=self.disk.ops(), refused));
        }
    }

    fn execute(&mut self) -> Delta {
        let n = self.states.len();
        let text = "x".repeat(self.dice.below(60));
        let mut operations = json!([{"op": "update", "table": "count", "where": [], "row": {"n": n}},
            {"op": "insert", "table": "t", "row": {"n": n, "text": text}}]);
        if self.db.rows("count").next().is_none() {
            operations[0] = json!({"op": "insert", "table": "count", "row": {"n": n}});
        } else if n.is_multiple_of(3) {
            let old = json!([["n", "<", n.saturating_sub(5)]]);
            operations[1] = json!({"op": "delete", "table": "t", "where": old});
        }
        let delta = transact(&mut self.db, &operations).delta;
        self.states.push(print(&self.db));
        delta
    }

    /// A flush is started in one step and ends in another.
    fn flush(&mut self) {
        match self.flush.take() {
            None => self.flush = Some((self.log.sync_handle(), self.states.len() - 1)),
            Some((handle, state)) => {
                if handle.sync().is_ok() {
                    self.promise(state);
                } else {
                    self.failed_flushes += 1;
                    self.log.flush_failed();
                }
            }
        }
    }

    /// A job is begun, done, and its end taken note of, each in a step of its own.
    fn compact(&mut self) {
        if let Some(job) = self.job.take() {
            self.done = Some((job.run(), self.states.len() - 1));
            return;
        }
        let Some((done, state)) = self.done.take() else {
            self.job = self.log.begin_compaction(&self.db, 7).unwrap_or_default();
            return;
        };
        let distrusted = self.log.check().is_err();
        match self.log.compaction_step(done) {
            Ok(CompactionStep::Run(job)) => self.job = Some(job),
            Ok(CompactionStep::Done) => {
                self.compactions += 1;
                self.promise(state);
            }
            Ok(CompactionStep::Stale) | Err(_) => {}
        }
        self.cures += usize::from(distrusted && self.log.check().is_ok());
    }

    fn convert(&mut self) {
        let before = self.db.clone();
        self.columns = (self.columns + 1) % 3;
        self.db = before
            .convert(&schema(self.columns), &mut uuid::Uuid::new_v4)
            .unwrap();
        self.states.push(print(&self.db));
        self.reach();
        match self.log.rewrite(&self.db, 7) {
            Ok(()) => self.promise(self.states.len() - 1),
            Err(_) => {
                // It may be there or not until the log is written anew, which it must be.
                self.db = before;
                self.states.push(print(&self.db));
                self.reach();
            }
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..50 => self.commit(),
            50..68 => self.flush(),
            68..92 => self.compact(),
            92..94 => self.convert(),
            94..95 => self.disk.fail(Kind::Sync, IO),
            95..96 => self.disk.fail(Kind::Write, IO),
            96..97 => self.disk.fail(Kind::SyncDirectory, IO),
            97..98 => {
                let room = self.dice.below(400);
                self.disk.leave_room(room);
            }
            _ => self.disk.repair(),
        }
    }

    /// Lets the power fail behind `ops` operations, and looks at what is left.
    fn check(&self, ops: usize, dice: &mut Dice) {
        let disk = self.disk.after_power_failure(ops, &mut |n| dice.below(n));
        let before = |all: &[(usize, usize)]| all.partition_point(|(at, _)| *at <= ops);
        let promised = self.promised[..before(&self.promised)].iter();
        let promised = promised.map(|(_, state)| *state).max();
        let reached = self.reached[..before(&self.reached)].last();
        let opened = Log::open_on(Arc::new(disk), Path::new(PATH), &schema(0));
        let Some(promised) = promised else {
            // Nobody had been told that there is a database.
            return;
        };
        let (_log, db) = opened.unwrap_or_else(|error| panic!("behind {ops}: {error:?}"));
        let found = print(&db);
        // The last may have been refused.
        let range = promised..=reached.unwrap().1.min(self.states.len() - 1);
        let mut refused = self.refused.iter().filter(|(at, _)| at.contains(&ops));
        assert!(
            self.states[range.clone()].contains(&found)
                || refused.any(|(_, states)| states.contains(&found)),
            "behind {ops} of {}: {found} is none of {range:?}",
            self.disk.ops()
        );
        db.audit().unwrap();
    }
}

#[test]
fn no_power_failure_loses_what_was_promised() {
    let seeds = std::env::var("AORTA_CRASH_SEEDS").map_or(30, |n| n.parse().unwrap());
    let (mut places, mut compactions, mut cures) = (0, 0, 0);
    for seed in 0..seeds {
        let mut scene = Scene::new(seed);
        for _ in 0..200 {
            scene.step();
        }
        let mut dice = Dice(!seed);
        for ops in 0..=scene.disk.ops() {
            for _ in 0..3 {
                scene.check(ops, &mut dice);
                places += 1;
            }
        }
        compactions += scene.compactions;
        cures += scene.cures;
    }
    println!(
        "{places} power failures, {compactions} compactions, {cures} cures after failed flushes"
    );
    assert!(
        places >= 10_000 && compactions > 20 && cures > 5,
        "{places} {compactions} {cures}"
    );
}
