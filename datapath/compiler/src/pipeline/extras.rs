//! What the program of a bridge needs besides its tables: groups, meters, and what goes to the
//! daemon.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::action::{Action, Controller, Instructions, PacketInReason};
use aorta_flow::field::FieldId;
use aorta_flow::hash::{Word, group_words};
use aorta_flow::table::{FlowId, Misses, Tables};
use aorta_flow::translate::in_order;
use aorta_flow::{Bucket, Flow, Group, GroupKind, Match, Meter, MeterId, OfPort};

use super::codegen::other;
use super::maps::meters::MAX_BANDS;
use super::meters::Places;
use super::record::RuleId;
use super::shape::{Shape, Step, Whole, split};
use super::{Refusal, counted, upcall};

/// Groups that watch groups, at most: as the interpreter.
const MAX_WATCH_DEPTH: u32 = 16;
/// Questions about ports that one bucket may ask.
const MAX_WATCHED: usize = 64;
/// Buckets of a select group that can go down.
pub const MAX_WATCHED_BUCKETS: usize = 64;

/// A group with what it does in one table: a bucket goes on from the table that called the group.
pub type GroupKey = (u32, u8);

/// A group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupPlan {
    /// Which buckets are done.
    pub kind: GroupKind,
    /// What the hash is made of, and its basis.
    pub hash: (Vec<Word>, u64),
    /// The buckets that can be done, in order.
    pub buckets: Vec<BucketPlan>,
    /// Where it is counted.
    pub count: RuleId,
}

/// A bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketPlan {
    /// Its share.
    pub weight: u16,
    /// When it can be done.
    pub live: Live,
    /// What it does.
    pub steps: Vec<Step>,
    /// The constants of that.
    pub params: Vec<u32>,
    /// Its position among all buckets of the group, from 0.
    pub position: usize,
    /// Where it is counted.
    pub count: RuleId,
}

/// When something is live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Live {
    /// Always.
    Always,
    /// Never.
    Never,
    /// While a port is up.
    Port(OfPort),
    /// While all of these are; two at least, none of which is always or never.
    All(Vec<Live>),
    /// While one of these is; the same.
    Any(Vec<Live>),
}

impl Live {
    fn of(bucket: &Bucket, tables: &Tables, depth: u32) -> Live {
        let port = bucket.watch_port.map(Live::Port);
        let group = bucket.watch_group.map(|id| {
            let group = tables.group(id).filter(|_| depth < MAX_WATCH_DEPTH);
            let buckets = group.map_or(&[][..], |group| &group.buckets);
            Live::any(buckets.iter().map(|b| Live::of(b, tables, depth + 1)))
        });
        Live::all(port.into_iter().chain(group))
    }

    fn all(parts: impl Iterator<Item = Live>) -> Live {
        let mut parts: Vec<Live> = parts.filter(|part| *part != Live::Always).collect();
        match parts.len() {
            _ if parts.contains(&Live::Never) => Live::Never,
            0 => Live::Always,
            1 => parts.remove(0),
            _ => Live::All(parts),
        }
    }

    fn any(parts: impl Iterator<Item = Live>) -> Live {
        let mut parts: Vec<Live> = parts.filter(|part| *part != Live::Never).collect();
        parts.dedup();
        match parts.len() {
            _ if parts.contains(&Live::Always) => Live::Always,
            0 => Live::Never,
            1 => parts.remove(0),
            _ => Live::Any(parts),
        }
    }

    fn questions(&self) -> usize {
        match self {
            Live::Always | Live::Never => 0,
            Live::Port(_) => 1,
            Live::All(parts) | Live::Any(parts) => parts.iter().map(Live::questions).sum(),
        }
    }
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extras {
    /// Groups by where they are called.
    pub groups: BTreeMap<GroupKey, GroupPlan>,
    /// Meters that packets or copies for controllers go through.
    pub meters: BTreeMap<MeterId, Meter>,
    /// Where all meters of the bridge have their records.
    pub places: Places,
    /// Actions that send copies to the daemon; the position of each is its number.
    pub upcalls: Vec<Action>,
}

impl Extras {
    /// Of the steps of each table, and of the groups that they call.
    ///
    /// # Errors
    /// When a group does what programs can't do, or there are too many meters.
    pub fn new<'s>(
        tables: &Tables,
        steps: impl Iterator<Item = (u8, &'s Step)>,
    ) -> Result<Extras, Refusal> {
        let ids = tables.meters().map(|meter| meter.id);
        let places = Places::new(ids).ok_or(Refusal::TooManyMeters {
            limit: super::maps::meters::MAX,
        })?;
        let mut extras = Extras {
            places,
            ..Extras::default()
        };
        let mut called = Vec::new();
        if !tables.misses().are_dropped() {
            let told = Action::Controller(Box::new(Misses::told()));
            let step = Step::Other(Whole(told));
            extras.note(tables, 0, &step, &mut called)?;
        }
        for (table, step) in steps {
            extras.note(tables, table, step, &mut called)?;
        }
        while let Some((id, table)) = called.pop() {
            if extras.groups.contains_key(&(id, table)) {
                continue;
            }
            let Some(group) = tables.group(id) else {
                continue;
            };
            let plan = plan_group(group, tables, table)?;
            for step in plan.buckets.iter().flat_map(|bucket| &bucket.steps) {
                for step in Step::with_inner(step) {
                    extras.note(tables, table, step, &mut called)?;
                }
            }
            extras.groups.insert((id, table), plan);
        }
        Ok(extras)
    }

    fn note(
        &mut self,
        tables: &Tables,
        table: u8,
        step: &Step,
        called: &mut Vec<GroupKey>,
    ) -> Result<(), Refusal> {
        let Step::Other(whole) = step else {
            return Ok(());
        };
        let mut meters = Vec::new();
        match &whole.0 {
            Action::Group(id) => called.push((*id, table)),
            Action::Meter(id) => meters.push(MeterId::Number(*id)),
            Action::Controller(how) => {
                meters.extend(how.meter.map(MeterId::Number));
                meters.push(MeterId::Controller);
            }
            Action::DecTtl(_) | Action::DecMplsTtl => meters.push(MeterId::Controller),
            _ => {}
        }
        for id in meters {
            if let Some(meter) = tables.meter(id) {
                check_meter(meter)?;
                self.meters.insert(id, Meter::clone(meter));
            }
        }
        for action in upcalls_of(&whole.0) {
            if !self.upcalls.contains(&action) {
                self.upcalls.push(action);
            }
        }
        Ok(())
    }

    /// Takes numbers for what groups count.
    pub fn count_by(&mut self, number: &mut dyn FnMut(FlowId) -> RuleId) {
        for ((id, _), group) in &mut self.groups {
            group.count = number(counted::group_id(*id));
            for bucket in &mut group.buckets {
                bucket.count = number(counted::bucket_id(*id, bucket.position));
            }
        }
    }

    /// The number of an action that sends copies to the daemon.
    pub fn number(&self, action: &Action) -> Option<u32> {
        let number = self.upcalls.iter().position(|other| other == action);
        number.map(|number| number as u32)
    }

    /// Steps of all buckets, with the table from which each group is called.
    pub fn steps(&self) -> impl Iterator<Item = (u8, &Step)> {
        self.groups.iter().flat_map(|((_, table), group)| {
            let steps = group.buckets.iter().flat_map(|bucket| &bucket.steps);
            steps
                .flat_map(Step::with_inner)
                .map(move |step| (*table, step))
        })
    }

    /// Fields that go along with copies for the daemon, of those that are used.
    pub fn metadata(&self, used: impl IntoIterator<Item = FieldId>) -> BTreeSet<FieldId> {
        match self.upcalls.is_empty() {
            true => BTreeSet::new(),
            false => upcall::metadata(used),
        }
    }
}

/// The copies for the daemon that an action sends, as actions.
pub fn upcalls_of(action: &Action) -> Vec<Action> {
    match action {
        Action::Controller(_)
        | Action::Learn(_)
        | Action::Sample(_)
        | Action::FinTimeout { .. } => {
            vec![action.clone()]
        }
        Action::Output(OfPort::CONTROLLER) => vec![Action::Controller(Box::default())],
        Action::DecTtl(ids) => {
            let ids = ids.as_deref().unwrap_or(&[0]);
            ids.iter().map(|id| invalid_ttl(*id)).collect()
        }
        Action::DecMplsTtl => vec![invalid_ttl(0)],
        _ => Vec::new(),
    }
}

/// What tells a controller that a time to live is over.
fn invalid_ttl(id: u16) -> Action {
    Action::Controller(Box::new(Controller {
        id,
        reason: PacketInReason::InvalidTtl,
        ..Controller::default()
    }))
}

fn check_meter(meter: &Meter) -> Result<(), Refusal> {
    match meter.bands.len() > MAX_BANDS {
        true => Err(Refusal::TooManyBands { limit: MAX_BANDS }),
        false => Ok(()),
    }
}

fn plan_group(group: &Group, tables: &Tables, table: u8) -> Result<GroupPlan, Refusal> {
    let mut buckets = Vec::new();
    for (position, bucket) in group.buckets.iter().enumerate() {
        let asks = matches!(group.kind, GroupKind::Select | GroupKind::FastFailover);
        let live = match asks {
            true => Live::of(bucket, tables, 0),
            false => Live::Always,
        };
        if live.questions() > MAX_WATCHED {
            return Err(Refusal::TooMuchWatched { group: group.id });
        }
        let without_share = group.kind == GroupKind::Select && bucket.weight() == 0;
        if live == Live::Never || without_share {
            continue;
        }
        let ends = live == Live::Always && group.kind == GroupKind::FastFailover;
        buckets.push(BucketPlan {
            position,
            ..plan_bucket(bucket, live, table)?
        });
        if ends || group.kind == GroupKind::Indirect {
            break;
        }
    }
    let watched = buckets.iter().filter(|b| b.live != Live::Always).count();
    if group.kind == GroupKind::Select && watched > MAX_WATCHED_BUCKETS {
        return Err(Refusal::TooMuchWatched { group: group.id });
    }
    Ok(GroupPlan {
        kind: group.kind,
        hash: group_words(group),
        buckets,
        count: RuleId(0),
    })
}

fn plan_bucket(bucket: &Bucket, live: Live, table: u8) -> Result<BucketPlan, Refusal> {
    let all: Vec<&Action> = bucket.actions.iter().collect();
    let mut flow = Flow {
        table,
        matching: Match::any(),
        ..Flow::default()
    };
    let actions = in_order(&all).into_iter().cloned().collect();
    flow.instructions = Instructions::apply(actions).into();
    let (Shape { steps, .. }, params) = split(&flow)?;
    for step in steps.iter().flat_map(Step::with_inner) {
        if let Step::Other(whole) = step {
            other::check(&whole.0)?;
        }
    }
    Ok(BucketPlan {
        weight: bucket.weight(),
        live,
        steps,
        params,
        position: 0,
        count: RuleId(0),
    })
}
