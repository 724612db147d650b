//! What the program of a bridge's tables is made of: their rules, shapes, fields and limits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aorta_flow::Flow;
use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowId, TableFlow, Tables};

use super::codegen::other;
use super::commit::Changes;
use super::layout::{self, state};
use super::limits::{Edge, Limits, Ways};
use super::record::{Clause, MatchWord, Rule, RuleId, rank};
use super::shape::{Shape, Step, split};
use super::template::{Caps, TableImage};
use super::usage::{Usage, fields_of};
use super::{PipelineConfig, PipelineError, Refusal};

/// Shapes by number. Equal shapes have one number for as long as the bridge is there.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    numbers: HashMap<Arc<Shape>, u32>,
    all: Vec<Arc<Shape>>,
}

impl Shapes {
    /// The number of a shape, a new one if it is new.
    pub fn number(&mut self, shape: Shape) -> u32 {
        if let Some(number) = self.numbers.get(&shape) {
            return *number;
        }
        let (shape, number) = (Arc::new(shape), self.all.len() as u32);
        self.numbers.insert(shape.clone(), number);
        self.all.push(shape);
        number
    }

    /// The number of a shape that is known.
    pub fn find(&self, shape: &Shape) -> Option<u32> {
        self.numbers.get(shape).copied()
    }

    /// The shape of a number.
    pub fn get(&self, number: u32) -> Option<&Arc<Shape>> {
        self.all.get(number as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }
}

/// One table's part.
#[derive(Clone, Debug, Default)]
pub struct TablePlan {
    /// Its rules from the highest rank.
    pub rules: Vec<Rule>,
    /// The shapes that they have.
    pub shapes: BTreeSet<u32>,
    /// Its rules in memory, unless they are code.
    pub image: Option<TableImage>,
}

/// Up to this many rules are compared one by one in code.
const MAX_CODE_RULES: usize = 8;

/// What the program is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it depends on besides the tables.
    pub config: PipelineConfig,
    /// Tables that packets can reach and that have flows.
    pub tables: BTreeMap<u8, TablePlan>,
    /// All shapes.
    pub shapes: Shapes,
    /// Fields that are read and written.
    pub usage: Usage,
    /// What must be counted at run time.
    pub limits: Limits,
    /// Tables that are looked up with another in port than the packet's.
    pub overridden: BTreeSet<u8>,
    /// Whether anything goes into action sets.
    pub action_set: bool,
    /// Whether anything is done with copies.
    pub copies: bool,
    /// What can be changed in packets' bytes.
    pub changes: Changes,
}

/// A flow as a rule, and what its table's code must know.
pub struct Planned {
    /// The rule.
    pub rule: Rule,
    /// Its shape.
    pub shape: Shape,
}

/// Splits a flow. Its shape has no number yet.
///
/// # Errors
/// When it asks for what programs can't do.
pub fn plan_flow(entry: &TableFlow, id: RuleId) -> Result<Planned, Refusal> {
    let (shape, params) = split(&entry.flow)?;
    let clauses = clauses(&entry.flow);
    if !clauses.is_empty() {
        let clause = entry.flow.instructions.apply.first();
        clause.map_or(Ok(()), other::check)?;
    }
    for step in shape.all_steps() {
        if let Step::Other(whole) = step {
            other::check(&whole.0)?;
        }
    }
    let rule = Rule {
        id,
        rank: rank(entry.flow.priority, entry.id.0),
        words: words(entry)?,
        shape: 0,
        params,
        clauses,
    };
    Ok(Planned { rule, shape })
}

/// The parts of conjunctions that a flow is.
fn clauses(flow: &Flow) -> Vec<Clause> {
    let clause = |action: &Action| match action {
        Action::Conjunction {
            id,
            clause,
            n_clauses,
        } => Some(Clause {
            conjunction: *id,
            number: *clause,
            of: *n_clauses,
        }),
        _ => None,
    };
    flow.instructions.apply.iter().filter_map(clause).collect()
}

fn words(entry: &TableFlow) -> Result<Vec<MatchWord>, Refusal> {
    let mut words = Vec::new();
    for part in entry.flow.matching.parts() {
        for number in 0..4u8 {
            let of = |all: u128| (all >> (32 * u32::from(number))) as u32;
            if of(part.mask) == 0 {
                continue;
            }
            let at = layout::word(part.field, number).ok_or_else(|| Refusal::Field {
                field: part.field.name().to_owned(),
            })?;
            let (value, mask) = (of(part.value), of(part.mask));
            words.push(MatchWord { at, value, mask });
        }
    }
    words.sort_by_key(|word| word.at);
    Ok(words)
}

impl Plan {
    /// Plans the tables, with the shapes that there were before.
    ///
    /// # Errors
    /// When flows ask for what programs can't do.
    pub fn new(
        tables: &Tables,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
        shapes: Shapes,
    ) -> Result<Plan, PipelineError> {
        let mut plan = Plan {
            config: config.clone(),
            tables: BTreeMap::new(),
            shapes,
            usage: Usage::default(),
            limits: Limits::default(),
            overridden: BTreeSet::new(),
            action_set: false,
            copies: false,
            changes: Changes::default(),
        };
        for entry in tables.flows() {
            let id = rule_of(entry.id);
            let planned = plan_flow(entry, id).map_err(|refusal| config.refuse(entry, refusal))?;
            plan.add(entry.flow.table, planned);
        }
        plan.restrict();
        plan.changes = plan.changed_by(tables);
        plan.choose_templates();
        plan.check_copies()?;
        Ok(plan)
    }

    fn add(&mut self, table: u8, planned: Planned) {
        let shape = self.shapes.number(planned.shape);
        let table = self.tables.entry(table).or_default();
        table.shapes.insert(shape);
        table.rules.push(Rule {
            shape,
            ..planned.rule
        });
    }

    /// Keeps what packets can reach, and finds out what that uses.
    fn restrict(&mut self) {
        let ways: Ways = self
            .tables
            .iter()
            .map(|(number, table)| {
                let of = |shape: &u32| self.shapes.get(*shape).map(|s| ways_of(s));
                (*number, table.shapes.iter().filter_map(of).collect())
            })
            .collect();
        self.limits = Limits::of(&ways);
        let reachable = &self.limits.reachable;
        self.tables.retain(|number, _| reachable.contains(number));
        let mut words = BTreeSet::new();
        for table in self.tables.values_mut() {
            table.rules.sort_by_key(|rule| std::cmp::Reverse(rule.rank));
            for rule in &table.rules {
                words.extend(rule.words.iter().map(|word| word.at));
            }
        }
        let words: Vec<MatchWord> = words
            .into_iter()
            .map(|at| MatchWord {
                at,
                value: 0,
                mask: 0,
            })
            .collect();
        self.usage.add_match(fields_of(&words));
        for shape in self.used_shapes() {
            self.note(&shape);
        }
        self.usage.reads.insert(FieldId::IN_PORT);
    }

    fn note(&mut self, shape: &Shape) {
        self.usage.add_shape(shape);
        self.action_set |= !shape.writes.is_empty();
        for step in shape.all_steps() {
            match step {
                Step::Resubmit {
                    in_port: Some(_),
                    table,
                } => {
                    self.overridden.insert(*table);
                }
                Step::Clone(_) => self.copies = true,
                _ => {}
            }
        }
    }

    /// Tables with few rules become code, the others memory.
    fn choose_templates(&mut self) {
        let caps = Caps {
            seed: self.config.seed,
            ..Caps::default()
        };
        for table in self.tables.values_mut() {
            let clauses = table.rules.iter().any(|rule| !rule.clauses.is_empty());
            if clauses || table.rules.len() > MAX_CODE_RULES {
                table.image = Some(TableImage::plan(&table.rules, &caps));
            }
        }
    }

    /// What the flows that packets can reach change in packets' bytes.
    fn changed_by(&self, tables: &Tables) -> Changes {
        let flows = tables
            .flows()
            .filter(|entry| self.tables.contains_key(&entry.flow.table));
        let instructions = flows.map(|entry| &entry.flow.instructions);
        Changes::of(instructions.flat_map(|i| i.apply.iter().chain(&i.write_actions)))
    }

    /// Whether rules of any table are in memory.
    pub fn has_memory(&self) -> bool {
        self.tables.values().any(|table| table.image.is_some())
    }

    /// The shapes of flows that packets can reach.
    pub fn used_shapes(&self) -> Vec<Arc<Shape>> {
        let numbers: BTreeSet<u32> = self
            .tables
            .values()
            .flat_map(|table| table.shapes.iter().copied())
            .collect();
        let shapes = numbers.into_iter();
        shapes.filter_map(|n| self.shapes.get(n).cloned()).collect()
    }

    fn check_copies(&self) -> Result<(), PipelineError> {
        let (bytes, limit) = (self.saved_bytes(), state::SAVE_BYTES as usize);
        match self.copies && bytes > limit {
            true => Err(PipelineError::Tables {
                bridge: self.config.bridge.clone(),
                refusal: Refusal::TooMuchChanges { bytes, limit },
            }),
            false => Ok(()),
        }
    }

    /// Bytes that a copy sets aside.
    fn saved_bytes(&self) -> usize {
        let fields = self.usage.writes.iter();
        let fields: i16 = fields.map(|f| layout::storage_bytes(*f).max(8)).sum();
        fields as usize + super::codegen::SAVE_HEADER_BYTES
    }
}

fn ways_of(shape: &Shape) -> Vec<Edge> {
    let mut ways: Vec<Edge> = shape
        .all_steps()
        .into_iter()
        .filter_map(|step| match step {
            Step::Resubmit { table, .. } => Some(Edge {
                to: *table,
                comes_back: true,
            }),
            _ => None,
        })
        .collect();
    ways.extend(shape.goto.map(|to| Edge {
        to,
        comes_back: false,
    }));
    ways
}
